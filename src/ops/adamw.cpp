#include "ops/adamw.h"

namespace plumb {

template <class Real>
void adamw(const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v, std::span<const UpdateRange> ranges) {
    const Timed timed(ctx.profile, Part::optimizer);
    const Index n = w.count();
    require(grad.count() == n && m.count() == n && v.count() == n && s.grad_scale,
            "adamw: counts differ");
    dispatch(ctx, "adamw",
             [&](auto device) { adamw<Real>(device, ctx, s, w, grad, m, v, ranges); });
}

template void adamw(const Context&, const AdamWStep&, View<float>, View<const float>, View<float>,
                    View<float>, std::span<const UpdateRange>);
template void adamw(const Context&, const AdamWStep&, View<double>, View<const double>,
                    View<double>, View<double>, std::span<const UpdateRange>);

}  // namespace plumb
