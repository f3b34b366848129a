#include "ops/activation.h"

#include "core/gpu_stream.h"
#include "ops/activation.cuh"

namespace plumb {

template <class T>
void activation(Cuda, const Context&, Activation kind, View<const T> up, View<T> a) {
    const Index n = a.extent(0), f = a.extent(1);
    if (kind == Activation::swiglu)
        gpu::activation<gpu::Swiglu>(gpu::stream(), n, f, up.data, a.data);
    else
        gpu::activation<gpu::Gelu>(gpu::stream(), n, f, up.data, a.data);
}

template <class T>
void activation_backward(Cuda, const Context&, Activation kind, View<const T> up, View<const T> da,
                         View<T> dup, View<T> a) {
    const Index n = a.extent(0), f = a.extent(1);
    if (kind == Activation::swiglu)
        gpu::activation_backward<gpu::Swiglu>(gpu::stream(), n, f, up.data, da.data, dup.data,
                                              a.data);
    else
        gpu::activation_backward<gpu::Gelu>(gpu::stream(), n, f, up.data, da.data, dup.data,
                                            a.data);
}

#define PLUMB_INSTANTIATE(T)                                                            \
    template void activation(Cuda, const Context&, Activation, View<const T>, View<T>); \
    template void activation_backward(Cuda, const Context&, Activation, View<const T>,  \
                                      View<const T>, View<T>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
