// Attention in bf16 on the twin of the tile instructions, with vectors of the same length.
#define PLUMB_LANES 16
#include "ops/attention_bf16_passes.h"

namespace plumb {
const HeadPasses kAmxEmulatedPasses{scratch_numbers, forward<EmulatedTiles>,
                                    backward<EmulatedTiles>};
}  // namespace plumb
