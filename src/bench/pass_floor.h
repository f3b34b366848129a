// The fewest bytes that the passes of a mixer could move on a GPU: every row that a token's site
// has to fetch or leave is moved once, and nothing that the passes could keep in registers at all.
#pragma once

#include "mixers/layout.h"
#include "mixers/mixer_config.h"

#include <optional>

namespace plumb {

// Rows of C numbers per token and sublayer, forward and backward, of all that is stored in the
// type of activations, where a row of float in a pass in bf16 is two. The norm's are counted: xhat
// and x written, xhat and the gradient of x read. Means over the sublayers, a mixer of sources by
// DepthSchedule.
struct PassFloor {
    double forward, backward;
};
// bf16: activations are in bf16, running sums in float. None for options, or mixers, that no
// schedule of fused passes is known for.
std::optional<PassFloor> pass_floor(const MixerConfig& mixer, const Layout& layout, bool bf16);

}  // namespace plumb
