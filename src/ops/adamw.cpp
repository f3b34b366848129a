#include "ops/adamw.h"

#include "core/dispatch.h"
#include "core/parallel.h"

#include <cmath>

namespace plumb {

template <class Real>
void adamw(const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v) {
    const Index n = w.count();
    require(grad.count() == n && m.count() == n && v.count() == n, "adamw: counts differ");
    const auto b1 = static_cast<Real>(s.beta1), b2 = static_cast<Real>(s.beta2);
    const auto scale = static_cast<Real>(s.grad_scale), eps = static_cast<Real>(s.eps);
    const double t = static_cast<double>(s.step);
    const auto rate = static_cast<Real>(s.lr / (1 - std::pow(s.beta1, t)));
    const auto correction = static_cast<Real>(1 / std::sqrt(1 - std::pow(s.beta2, t)));
    const auto keep = static_cast<Real>(1 - s.lr * s.weight_decay);
    constexpr Index kRow = 1024;  // numbers handled as one "token" of the loop
    dispatch(ctx, "adamw", [&](Cpu) {
        for_tokens(ctx, (n + kRow - 1) / kRow, [&](Index row) {
            const Index end = std::min(n, (row + 1) * kRow);
#pragma omp simd
            for (Index i = row * kRow; i < end; ++i) {
                const Real g = grad.data[i] * scale;
                m.data[i] = b1 * m.data[i] + (1 - b1) * g;
                v.data[i] = b2 * v.data[i] + (1 - b2) * g * g;
                w.data[i] =
                    keep * w.data[i] - rate * m.data[i] / (std::sqrt(v.data[i]) * correction + eps);
            }
        });
    });
}

template void adamw(const Context&, const AdamWStep&, View<float>, View<const float>, View<float>,
                    View<float>);
template void adamw(const Context&, const AdamWStep&, View<double>, View<const double>,
                    View<double>, View<double>);

}  // namespace plumb
