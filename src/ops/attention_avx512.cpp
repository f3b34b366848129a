// Attention in float on vectors of 64 bytes. Compiled for AVX-512, whatever the rest is.
#define PLUMB_LANES 16
#include "ops/attention_float_tiles.h"

namespace plumb {
const HeadPasses kAvx512Passes{scratch_numbers, forward, backward};
}  // namespace plumb
