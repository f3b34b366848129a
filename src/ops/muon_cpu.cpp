#include "ops/muon.h"

#include "core/parallel.h"

#include <cmath>

namespace plumb {
namespace {

// f(i) for every number of a matrix.
template <class Real, class F>
void for_numbers(const Context& ctx, const View<Real>& x, F&& f) {
    const Index columns = x.extent(1);
    for_tokens(ctx, x.extent(0), [&](Index row) {
#pragma omp simd
        for (Index i = row * columns; i < (row + 1) * columns; ++i) f(i);
    });
}

}  // namespace

template <class Real>
void muon_look_ahead(Cpu, const Context& ctx, Real mu, View<const double> s, View<const Real> grad,
                     View<Real> momentum, View<Real> x) {
    if (*s.data == 0) return;
    const auto scale = static_cast<Real>(*s.data);
    for_numbers(ctx, x, [&](Index i) {
        const Real g = grad.data[i] * scale;
        momentum.data[i] = mu * momentum.data[i] + g;
        x.data[i] = g + mu * momentum.data[i];
    });
}

template <class Real>
void muon_normalise(Cpu, const Context& ctx, View<const double> square, double eps, View<Real> x) {
    const auto scale = static_cast<Real>(1 / (std::sqrt(*square.data) + eps));
    for_numbers(ctx, x, [&](Index i) { x.data[i] *= scale; });
}

template <class Real>
void muon_add_diagonal(Cpu, const Context&, Real a, View<Real> x) {
    for (Index i = 0; i < x.extent(0); ++i) x.row(i)[i] += a;
}

template <class Real>
void muon_update(Cpu, const Context& ctx, View<const double> s, Real keep, Real rate,
                 View<const Real> u, View<Real> w) {
    if (*s.data == 0) return;
    for_numbers(ctx, w, [&](Index i) { w.data[i] = keep * w.data[i] - rate * u.data[i]; });
}

#define PLUMB_INSTANTIATE(Real)                                                                    \
    template void muon_look_ahead(Cpu, const Context&, Real, View<const double>, View<const Real>, \
                                  View<Real>, View<Real>);                                         \
    template void muon_normalise(Cpu, const Context&, View<const double>, double, View<Real>);     \
    template void muon_add_diagonal(Cpu, const Context&, Real, View<Real>);                        \
    template void muon_update(Cpu, const Context&, View<const double>, Real, Real,                 \
                              View<const Real>, View<Real>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
