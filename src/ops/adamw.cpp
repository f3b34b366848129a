#include "ops/adamw.h"

#include "core/dispatch.h"
#include "core/parallel.h"

#include <cmath>

namespace plumb {
namespace {

template <class Real>
struct Factors {
    Real b1, b2, scale, eps, rate, correction;
};

template <class Real>
Factors<Real> factors(const AdamWStep& s) {
    const double t = static_cast<double>(s.step);
    return {static_cast<Real>(s.beta1),
            static_cast<Real>(s.beta2),
            static_cast<Real>(s.grad_scale),
            static_cast<Real>(s.eps),
            static_cast<Real>(s.lr / (1 - std::pow(s.beta1, t))),
            static_cast<Real>(1 / std::sqrt(1 - std::pow(s.beta2, t)))};
}

template <class Real>
void update(const Factors<Real>& f, Real keep, Real* __restrict w, const Real* __restrict grad,
            Real* __restrict m, Real* __restrict v, Index n) {
#pragma omp simd
    for (Index i = 0; i < n; ++i) {
        const Real g = grad[i] * f.scale;
        m[i] = f.b1 * m[i] + (1 - f.b1) * g;
        v[i] = f.b2 * v[i] + (1 - f.b2) * g * g;
        w[i] = keep * w[i] - f.rate * m[i] / (std::sqrt(v[i]) * f.correction + f.eps);
    }
}

}  // namespace

template <class Real>
void adamw(const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v, std::span<const DecayRange> ranges) {
    const Timed timed(ctx.profile, Part::optimizer);
    const Index n = w.count();
    require(grad.count() == n && m.count() == n && v.count() == n, "adamw: counts differ");
    const Factors<Real> f = factors<Real>(s);
    const auto decayed = static_cast<Real>(1 - s.lr * s.weight_decay);
    constexpr Index kRow = 1024;  // numbers handled as one "token" of the loop
    dispatch(ctx, "adamw", [&](Cpu) {
        for_chunks(ctx, (n + kRow - 1) / kRow, [&](Index begin, Index end, Index) {
            const Index stop = std::min(n, end * kRow);
            auto range = std::upper_bound(ranges.begin(), ranges.end(), begin * kRow,
                                          [](Index i, const DecayRange& r) { return i < r.end; });
            for (Index i = begin * kRow, next; i < stop; i = next) {
                const bool last = range == ranges.end();
                next = last ? stop : std::min(stop, range->end);
                update(f, last || range->decay ? decayed : Real(1), w.data + i, grad.data + i,
                       m.data + i, v.data + i, next - i);
                if (!last) ++range;
            }
        });
    });
}

template void adamw(const Context&, const AdamWStep&, View<float>, View<const float>, View<float>,
                    View<float>, std::span<const DecayRange>);
template void adamw(const Context&, const AdamWStep&, View<double>, View<const double>,
                    View<double>, View<double>, std::span<const DecayRange>);

}  // namespace plumb
