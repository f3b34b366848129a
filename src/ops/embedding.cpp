#include "ops/embedding.h"

namespace plumb {

template <class T>
void embedding(const Context& ctx, View<const std::int32_t> tokens, View<const RealOf<T>> table,
               View<T> out) {
    const Timed timed(ctx.profile, Part::embedding);
    require(tokens.count() == out.extent(0) && table.extent(1) == out.extent(1),
            "embedding: shapes differ");
    dispatch(ctx, "embedding", [&](auto device) { embedding<T>(device, ctx, tokens, table, out); });
}

template <class T>
void embedding_backward(const Context& ctx, View<const std::int32_t> tokens, View<const T> dout,
                        View<RealOf<T>> dtable) {
    const Timed timed(ctx.profile, Part::embedding);
    require(tokens.count() == dout.extent(0) && dtable.extent(1) == dout.extent(1),
            "embedding_backward: shapes differ");
    dispatch(ctx, "embedding_backward",
             [&](auto device) { embedding_backward<T>(device, ctx, tokens, dout, dtable); });
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
