#include "ops/linear_decode.cuh"

#include "core/gpu_stream.h"
#include "ops/linear_decode.h"

namespace plumb {

template <class T>
void linear_decode(Cuda, const Context&, View<const T> x, View<const RealOf<T>> w, View<T> y) {
    gpu::linear_decode(gpu::stream(), x.extent(0), w.extent(1), w.extent(0), x.data, w.data,
                       y.data);
}

template void linear_decode(Cuda, const Context&, View<const float>, View<const float>,
                            View<float>);
template void linear_decode(Cuda, const Context&, View<const double>, View<const double>,
                            View<double>);

}  // namespace plumb
