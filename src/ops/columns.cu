#include "ops/columns.h"

#include "core/gpu_stream.h"
#include "ops/columns.cuh"

namespace plumb {

template <class T>
void put_columns(Cuda, const Context&, View<const T> part, Index first, View<T> whole) {
    gpu::put_columns(gpu::stream(), part.extent(0), part.extent(1), part.data, first,
                     whole.extent(1), whole.data);
}

template <class T>
void take_columns(Cuda, const Context&, View<const T> whole, Index first, View<T> part) {
    gpu::take_columns(gpu::stream(), part.extent(0), part.extent(1), whole.data, whole.extent(1),
                      first, part.data);
}

template <class T>
void add_last_columns(Cuda, const Context&, View<const T> from, Index width,
                      View<const RealOf<T>> scale, View<T> to) {
    gpu::add_last_columns(gpu::stream(), to.extent(0), width, from.data, from.extent(1), scale.data,
                          to.data, to.extent(1));
}

template <class T>
void add_last_columns_backward(Cuda, const Context&, View<const T> from,
                               View<const RealOf<T>> scale, View<const T> dto, bool add,
                               View<RealOf<T>> sums, View<RealOf<T>> dscale,
                               View<RealOf<T>> dfrom) {
    static_assert(gpu::kChunk == kTokenChunk, "a number of sums is of a chunk");
    gpu::add_last_columns_backward(gpu::stream(), dfrom.extent(0), dfrom.extent(1), from.data,
                                   from.extent(1), scale.data, dto.data, dto.extent(1), add,
                                   sums.data, dscale.data, dfrom.data);
}

template <class T>
void add_to_last_columns(Cuda, const Context&, View<const RealOf<T>> x, View<T> to) {
    gpu::add_to_last_columns(gpu::stream(), to.extent(0), x.extent(1), x.data, to.data,
                             to.extent(1));
}

#define PLUMB_INSTANTIATE(T)                                                                    \
    template void put_columns(Cuda, const Context&, View<const T>, Index, View<T>);             \
    template void take_columns(Cuda, const Context&, View<const T>, Index, View<T>);            \
    template void add_last_columns(Cuda, const Context&, View<const T>, Index,                  \
                                   View<const RealOf<T>>, View<T>);                             \
    template void add_last_columns_backward(Cuda, const Context&, View<const T>,                \
                                            View<const RealOf<T>>, View<const T>, bool,         \
                                            View<RealOf<T>>, View<RealOf<T>>, View<RealOf<T>>); \
    template void add_to_last_columns(Cuda, const Context&, View<const RealOf<T>>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
