#include "ops/pre_norm.h"

#include "core/gpu_stream.h"
#include "ops/pre_norm.cuh"

namespace plumb {

template <class T>
void apply_gain(Cuda, const Context&, View<const T> xhat, View<const RealOf<T>> gain, View<T> x) {
    gpu::apply_gain(gpu::stream(), x.extent(0), x.extent(1), xhat.data, gain.data, x.data);
}

template <class Real>
void note_overflow(Cuda, const Context&, View<const Real> rstd, int l, View<double> first) {
    gpu::note_overflow(gpu::stream(), rstd.count(), rstd.data, l, first.data);
}

template <class T>
void norm_values(Cuda, const Context&, const PreNorm<T>& norm, View<RealOf<T>> h) {
    gpu::norm_values<T>(gpu::stream(), h.extent(0), h.extent(1), norm.xhat.data, norm.rstd.data,
                        h.data);
}

template <class T>
void norm_gradients(Cuda, const Context&, const PreNorm<T>& norm, View<RealOf<T>> d) {
    gpu::norm_gradients<T>(gpu::stream(), d.extent(0), static_cast<int>(d.extent(1)),
                           gpu::norm_args(norm), d.data);
}

#define PLUMB_INSTANTIATE(T)                                                                       \
    template void apply_gain(Cuda, const Context&, View<const T>, View<const RealOf<T>>, View<T>); \
    template void norm_values(Cuda, const Context&, const PreNorm<T>&, View<RealOf<T>>);           \
    template void norm_gradients(Cuda, const Context&, const PreNorm<T>&, View<RealOf<T>>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void note_overflow(Cuda, const Context&, View<const float>, int, View<double>);
template void note_overflow(Cuda, const Context&, View<const double>, int, View<double>);

}  // namespace plumb
