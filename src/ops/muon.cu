#include "ops/muon.h"

#include "core/gpu_stream.h"
#include "ops/muon.cuh"

namespace plumb {

template <class Real>
void muon_look_ahead(Cuda, const Context&, Real mu, View<const double> s, View<const Real> grad,
                     View<Real> momentum, View<Real> x) {
    gpu::muon_look_ahead(gpu::stream(), x.count(), mu, s.data, grad.data, momentum.data, x.data);
}

template <class Real>
void muon_normalise(Cuda, const Context&, View<const double> square, double eps, View<Real> x) {
    gpu::muon_normalise(gpu::stream(), x.count(), square.data, eps, x.data);
}

template <class Real>
void muon_add_diagonal(Cuda, const Context&, Real a, View<Real> x) {
    gpu::muon_add_diagonal(gpu::stream(), x.extent(0), a, x.data);
}

template <class Real>
void muon_update(Cuda, const Context&, View<const double> s, Real keep, Real rate,
                 View<const Real> u, View<Real> w) {
    gpu::muon_update(gpu::stream(), w.count(), s.data, keep, rate, u.data, w.data, nullptr);
}

#define PLUMB_INSTANTIATE(Real)                                                                 \
    template void muon_look_ahead(Cuda, const Context&, Real, View<const double>,               \
                                  View<const Real>, View<Real>, View<Real>);                    \
    template void muon_normalise(Cuda, const Context&, View<const double>, double, View<Real>); \
    template void muon_add_diagonal(Cuda, const Context&, Real, View<Real>);                    \
    template void muon_update(Cuda, const Context&, View<const double>, Real, Real,             \
                              View<const Real>, View<Real>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
