// Attention in float on vectors of 32 bytes.
#define PLUMB_LANES 8
#include "ops/attention_float_tiles.h"

namespace plumb {
const HeadPasses kAvx2Passes{scratch_numbers, forward, backward};
}  // namespace plumb
