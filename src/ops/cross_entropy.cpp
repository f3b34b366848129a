#include "ops/cross_entropy.h"

namespace plumb {

void n_scored(const Context& ctx, View<const std::int32_t> targets, View<double> scored) {
    require(scored.count() == 1, "n_scored: one number");
    dispatch(ctx, "n_scored", [&](auto device) { n_scored(device, ctx, targets, scored); });
}

Index n_scored(const Context& ctx, View<const std::int32_t> targets) {
    const DeviceArray<double> scored(1, targets.device);
    n_scored(ctx, targets, scored.view());
    return static_cast<Index>(read_scalar(scored.view()));
}

template <class Real>
void cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                   View<Real> losses) {
    const Timed timed(ctx.profile, Part::loss);
    require(targets.count() == logits.extent(0) && losses.count() == logits.extent(0),
            "cross_entropy: shapes differ");
    dispatch(ctx, "cross_entropy",
             [&](auto device) { cross_entropy<Real>(device, ctx, logits, targets, losses); });
}

template <class T>
void cross_entropy_gradient(const Context& ctx, View<RealOf<T>> logits,
                            View<const std::int32_t> targets, View<RealOf<T>> losses,
                            RealOf<T> scale, View<const double> scored, View<T> dlogits) {
    const Timed timed(ctx.profile, Part::loss);
    require(targets.count() == logits.extent(0) && losses.count() == logits.extent(0) &&
                dlogits.shape == logits.shape && scored.count() == 1,
            "cross_entropy_gradient: shapes differ");
    dispatch(ctx, "cross_entropy_gradient", [&](auto device) {
        cross_entropy_gradient<T>(device, ctx, logits, targets, losses, scale, scored, dlogits);
    });
}

template <class Real>
void mean_loss(const Context& ctx, View<const Real> losses, View<const double> scored,
               View<double> mean) {
    const Timed timed(ctx.profile, Part::loss);
    require(scored.count() == 1 && mean.count() == 1, "mean_loss: one number");
    dispatch(ctx, "mean_loss",
             [&](auto device) { mean_loss<Real>(device, ctx, losses, scored, mean); });
}

#define PLUMB_INSTANTIATE(T)                                                                   \
    template void cross_entropy_gradient(const Context&, View<RealOf<T>>,                      \
                                         View<const std::int32_t>, View<RealOf<T>>, RealOf<T>, \
                                         View<const double>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void cross_entropy(const Context&, View<const float>, View<const std::int32_t>,
                            View<float>);
template void cross_entropy(const Context&, View<const double>, View<const std::int32_t>,
                            View<double>);
template void mean_loss(const Context&, View<const float>, View<const double>, View<double>);
template void mean_loss(const Context&, View<const double>, View<const double>, View<double>);

}  // namespace plumb
