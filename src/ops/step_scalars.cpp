#include "ops/step_scalars.h"

namespace plumb {

void count_loss(const Context& ctx, const MicroBatch& batch, View<const double> loss,
                View<const double> overflow, View<StepScalars> s) {
    dispatch(ctx, "count_loss",
             [&](auto device) { count_loss(device, ctx, batch, loss, overflow, s); });
}

void clip_factor(const Context& ctx, double clip, View<StepScalars> s) {
    dispatch(ctx, "clip_factor", [&](auto device) { clip_factor(device, ctx, clip, s); });
}

}  // namespace plumb
