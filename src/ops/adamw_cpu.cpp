#include "ops/adamw.h"

#include "core/parallel.h"

#include <cmath>

namespace plumb {
namespace {

template <class Real>
struct Factors {
    Real b1, b2, scale, eps, correction;
    double rate;
};

template <class Real>
Factors<Real> factors(const AdamWStep& s) {
    const double t = static_cast<double>(s.step);
    return {static_cast<Real>(s.beta1),
            static_cast<Real>(s.beta2),
            static_cast<Real>(*s.grad_scale.data),
            static_cast<Real>(s.eps),
            static_cast<Real>(1 / std::sqrt(1 - std::pow(s.beta2, t))),
            s.lr / (1 - std::pow(s.beta1, t))};
}

template <class Real>
void update(const Factors<Real>& f, Real rate, Real keep, Real* __restrict w,
            const Real* __restrict grad, Real* __restrict m, Real* __restrict v, Index n) {
#pragma omp simd
    for (Index i = 0; i < n; ++i) {
        const Real g = grad[i] * f.scale;
        m[i] = f.b1 * m[i] + (1 - f.b1) * g;
        v[i] = f.b2 * v[i] + (1 - f.b2) * g * g;
        w[i] = keep * w[i] - rate * m[i] / (std::sqrt(v[i]) * f.correction + f.eps);
    }
}

}  // namespace

template <class Real>
void adamw(Cpu, const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v, std::span<const UpdateRange> ranges) {
    if (*s.grad_scale.data == 0) return;
    const Index n = w.count();
    const Factors<Real> f = factors<Real>(s);
    constexpr Index kRow = 1024;  // numbers handled as one "token" of the loop
    for_chunks(ctx, (n + kRow - 1) / kRow, [&](Index begin, Index end, Index) {
        const Index stop = std::min(n, end * kRow);
        auto range = std::upper_bound(ranges.begin(), ranges.end(), begin * kRow,
                                      [](Index i, const UpdateRange& r) { return i < r.end; });
        for (Index i = begin * kRow, next; i < stop; i = next) {
            const bool last = range == ranges.end();
            const UpdateRange r = last ? UpdateRange{stop, true} : *range;
            next = std::min(stop, r.end);
            const double keep = r.decay ? 1 - s.lr * r.lr_scale * s.weight_decay : 1.0;
            if (r.trained)
                update(f, static_cast<Real>(f.rate * r.lr_scale), static_cast<Real>(keep),
                       w.data + i, grad.data + i, m.data + i, v.data + i, next - i);
            if (!last) ++range;
        }
    });
}

template void adamw(Cpu, const Context&, const AdamWStep&, View<float>, View<const float>,
                    View<float>, View<float>, std::span<const UpdateRange>);
template void adamw(Cpu, const Context&, const AdamWStep&, View<double>, View<const double>,
                    View<double>, View<double>, std::span<const UpdateRange>);

}  // namespace plumb
