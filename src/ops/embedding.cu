#include "ops/embedding.h"

#include "core/gpu_stream.h"
#include "ops/embedding.cuh"

namespace plumb {

template <class T>
void embedding(Cuda, const Context&, View<const std::int32_t> tokens, View<const RealOf<T>> table,
               View<T> out) {
    gpu::embedding(gpu::stream(), out.extent(0), out.extent(1), tokens.data, table.data, out.data);
}

template <class T>
void embedding_backward(Cuda, const Context&, View<const std::int32_t> tokens, View<const T> dout,
                        View<RealOf<T>> dtable) {
    gpu::embedding_backward(gpu::stream(), dout.extent(0), dout.extent(1), tokens.data, dout.data,
                            dtable.data);
}

#define PLUMB_INSTANTIATE(T)                                                                       \
    template void embedding(Cuda, const Context&, View<const std::int32_t>, View<const RealOf<T>>, \
                            View<T>);                                                              \
    template void embedding_backward(Cuda, const Context&, View<const std::int32_t>,               \
                                     View<const T>, View<RealOf<T>>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
