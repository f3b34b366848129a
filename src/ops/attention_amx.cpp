// Attention in bf16 on the tile instructions. Compiled for AVX-512 with bf16, whatever the rest is.
#define PLUMB_LANES 16
#include "ops/attention_bf16_passes.h"

namespace plumb {
#if defined(__x86_64__)
const HeadPasses kAmxPasses{scratch_numbers, forward<AmxTiles>, backward<AmxTiles>};
#else
const HeadPasses kAmxPasses{};
#endif
}  // namespace plumb
