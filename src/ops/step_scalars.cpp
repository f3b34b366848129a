#include "ops/step_scalars.h"

namespace plumb {

void clip_factor(const Context& ctx, double clip, View<StepScalars> s) {
    dispatch(ctx, "clip_factor", [&](auto device) { clip_factor(device, ctx, clip, s); });
}

}  // namespace plumb
