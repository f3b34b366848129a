#include "ops/embedding.h"

#include "core/parallel.h"
#include "ops/reduce.h"

namespace plumb {

template <class T>
void embedding(Cpu, const Context& ctx, View<const std::int32_t> tokens,
               View<const RealOf<T>> table, View<T> out) {
    const Index c = out.extent(1);
    for_tokens(ctx, tokens.count(), [&](Index n) {
        const RealOf<T>* row = table.row(tokens.data[n]);
        T* x = out.row(n);
#pragma omp simd
        for (Index i = 0; i < c; ++i) x[i] = row[i];
    });
}

template <class T>
void embedding_backward(Cpu, const Context& ctx, View<const std::int32_t> tokens,
                        View<const T> dout, View<RealOf<T>> dtable) {
    const Index c = dout.extent(1), n_tokens = tokens.count();
    for_chunks(ctx, c, [&](Index begin, Index end, Index) {
        for (Index n = 0; n < n_tokens; ++n)
            axpy(RealOf<T>(1), dout.row(n) + begin, dtable.row(tokens.data[n]) + begin,
                 end - begin);
    });
}

#define PLUMB_INSTANTIATE(T)                                                                       \
    template void embedding(Cpu, const Context&, View<const std::int32_t>, View<const RealOf<T>>,  \
                            View<T>);                                                              \
    template void embedding_backward(Cpu, const Context&, View<const std::int32_t>, View<const T>, \
                                     View<RealOf<T>>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
