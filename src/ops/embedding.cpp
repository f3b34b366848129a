#include "ops/embedding.h"

#include "core/dispatch.h"
#include "core/parallel.h"
#include "ops/reduce.h"

namespace plumb {

template <class T>
void embedding(const Context& ctx, View<const std::int32_t> tokens, View<const RealOf<T>> table,
               View<T> out) {
    const Timed timed(ctx.profile, Part::embedding);
    const Index c = out.extent(1);
    require(tokens.count() == out.extent(0) && table.extent(1) == c, "embedding: shapes differ");
    dispatch(ctx, "embedding", [&](Cpu) {
        for_tokens(ctx, tokens.count(), [&](Index n) {
            const RealOf<T>* row = table.row(tokens.data[n]);
            T* x = out.row(n);
#pragma omp simd
            for (Index i = 0; i < c; ++i) x[i] = row[i];
        });
    });
}

template <class T>
void embedding_backward(const Context& ctx, View<const std::int32_t> tokens, View<const T> dout,
                        View<RealOf<T>> dtable) {
    const Timed timed(ctx.profile, Part::embedding);
    const Index c = dout.extent(1), n_tokens = tokens.count();
    dispatch(ctx, "embedding_backward", [&](Cpu) {
        for_chunks(ctx, c, [&](Index begin, Index end, Index) {
            for (Index n = 0; n < n_tokens; ++n)
                axpy(RealOf<T>(1), dout.row(n) + begin, dtable.row(tokens.data[n]) + begin,
                     end - begin);
        });
    });
}

#define PLUMB_INSTANTIATE(T)                                                                  \
    template void embedding(const Context&, View<const std::int32_t>, View<const RealOf<T>>,  \
                            View<T>);                                                         \
    template void embedding_backward(const Context&, View<const std::int32_t>, View<const T>, \
                                     View<RealOf<T>>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
