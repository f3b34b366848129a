#include "ops/dropout.h"

#include "core/gpu_stream.h"
#include "ops/dropout.cuh"

namespace plumb {

template <class T>
void dropout(Cuda, const Context&, const Dropout& d, View<T> x) {
    gpu::dropout(gpu::stream(), x.extent(0), x.extent(1), gpu::dropout_args(d), x.data);
}

template void dropout(Cuda, const Context&, const Dropout&, View<float>);
template void dropout(Cuda, const Context&, const Dropout&, View<double>);
template void dropout(Cuda, const Context&, const Dropout&, View<Bf16>);

}  // namespace plumb
