#include "ops/embedding.h"

#include "core/dispatch.h"
#include "core/parallel.h"
#include "ops/reduce.h"

#include <cstring>

namespace plumb {

template <class Real>
void embedding(const Context& ctx, View<const std::int32_t> tokens, View<const Real> table,
               View<Real> out) {
    require(tokens.count() == out.extent(0) && table.extent(1) == out.extent(1),
            "embedding: shapes differ");
    dispatch(ctx, "embedding", [&](Cpu) {
        for_tokens(ctx, tokens.count(), [&](Index n) {
            std::memcpy(out.row(n), table.row(tokens.data[n]),
                        static_cast<std::size_t>(out.extent(1)) * sizeof(Real));
        });
    });
}

template <class Real>
void embedding_backward(const Context& ctx, View<const std::int32_t> tokens, View<const Real> dout,
                        View<Real> dtable) {
    const Index c = dout.extent(1), n_tokens = tokens.count();
    dispatch(ctx, "embedding_backward", [&](Cpu) {
        for_chunks(ctx, c, [&](Index begin, Index end, Index) {
            for (Index n = 0; n < n_tokens; ++n)
                axpy(Real(1), dout.row(n) + begin, dtable.row(tokens.data[n]) + begin, end - begin);
        });
    });
}

#define PLUMB_INSTANTIATE(Real)                                                                  \
    template void embedding(const Context&, View<const std::int32_t>, View<const Real>,          \
                            View<Real>);                                                         \
    template void embedding_backward(const Context&, View<const std::int32_t>, View<const Real>, \
                                     View<Real>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
