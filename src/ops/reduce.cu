#include "ops/reduce.h"

#include "core/device_memory.h"
#include "core/gpu_stream.h"
#include "ops/reduce.cuh"

namespace plumb {
namespace {

double* block_sums() {  // of one sum at a time: there is one stream
    static const DeviceArray<double> memory(gpu::kDotBlocks, Device::cuda);
    return memory.view().data;
}

}  // namespace

template <class T>
void copy(Cuda, const Context&, View<const T> x, View<T> y) {
    gpu::copy(gpu::stream(), x.count(), x.data, y.data);
}

template <class T>
void widen(Cuda, const Context&, View<const T> x, View<RealOf<T>> y) {
    gpu::widen(gpu::stream(), x.count(), x.data, y.data);
}

template <class Real>
void clear(Cuda, const Context&, View<Real> x) {
    gpu::clear(gpu::stream(), x.count(), x.data);
}

template <class Real>
void add_partials(Cuda, const Context&, View<const Real> partial, View<Real> out) {
    gpu::add_partials(gpu::stream(), partial.extent(0), out.count(), partial.data, out.data);
}

template <class T>
void total_dot(Cuda, const Context&, View<const T> a, View<const T> b, View<double> sum) {
    gpu::total_dot(gpu::stream(), a.count(), a.data, b.data, block_sums(), sum.data);
}

template <class Real>
bool all_finite(Cuda, const Context&, View<const Real> x) {
    static const DeviceArray<double> others(1, Device::cuda);
    gpu::not_finite(gpu::stream(), x.count(), x.data, block_sums(), others.view().data);
    return read_scalar(others.view()) == 0;
}

#define PLUMB_INSTANTIATE(T)                                                   \
    template void copy(Cuda, const Context&, View<const T>, View<T>);          \
    template void widen(Cuda, const Context&, View<const T>, View<RealOf<T>>); \
    template void total_dot(Cuda, const Context&, View<const T>, View<const T>, View<double>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void clear(Cuda, const Context&, View<float>);
template void clear(Cuda, const Context&, View<double>);
template void add_partials(Cuda, const Context&, View<const float>, View<float>);
template void add_partials(Cuda, const Context&, View<const double>, View<double>);
template bool all_finite(Cuda, const Context&, View<const float>);
template bool all_finite(Cuda, const Context&, View<const double>);

}  // namespace plumb
