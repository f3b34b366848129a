#include "ops/cross_entropy.h"

namespace plumb {

Index n_scored(const Context& ctx, View<const std::int32_t> targets) {
    Index n = 0;
    dispatch(ctx, "n_scored", [&](auto device) { n = n_scored(device, ctx, targets); });
    return n;
}

template <class Real>
double cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                     View<Real> losses) {
    const Timed timed(ctx.profile, Part::loss);
    require(targets.count() == logits.extent(0) && losses.count() == logits.extent(0),
            "cross_entropy: shapes differ");
    double sum = 0;
    dispatch(ctx, "cross_entropy",
             [&](auto device) { sum = cross_entropy<Real>(device, ctx, logits, targets, losses); });
    return sum;
}

template <class T>
double cross_entropy_gradient(const Context& ctx, View<RealOf<T>> logits,
                              View<const std::int32_t> targets, View<RealOf<T>> losses,
                              RealOf<T> weight, View<T> dlogits) {
    const Timed timed(ctx.profile, Part::loss);
    require(targets.count() == logits.extent(0) && losses.count() == logits.extent(0) &&
                dlogits.shape == logits.shape,
            "cross_entropy_gradient: shapes differ");
    double sum = 0;
    dispatch(ctx, "cross_entropy_gradient", [&](auto device) {
        sum = cross_entropy_gradient<T>(device, ctx, logits, targets, losses, weight, dlogits);
    });
    return sum;
}

#define PLUMB_INSTANTIATE(T)                                                                     \
    template double cross_entropy_gradient(const Context&, View<RealOf<T>>,                      \
                                           View<const std::int32_t>, View<RealOf<T>>, RealOf<T>, \
                                           View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template double cross_entropy(const Context&, View<const float>, View<const std::int32_t>,
                              View<float>);
template double cross_entropy(const Context&, View<const double>, View<const std::int32_t>,
                              View<double>);

}  // namespace plumb
