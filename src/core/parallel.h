// Loops over tokens. Work is cut into fixed chunks of kTokenChunk tokens, independent of the number
// of threads; a reduction keeps one partial sum per chunk and adds them in order.
#pragma once

#include "core/context.h"

#include <algorithm>

namespace plumb {

// f(begin, end, chunk) for every chunk of [0, n).
template <class F>
void for_chunks(const Context& ctx, Index n, F&& f) {
    const Index chunks = n_chunks(n);
#pragma omp parallel for schedule(static) \
    num_threads(ctx.threads) if (ctx.threads > 1 && chunks > 1)
    for (Index k = 0; k < chunks; ++k) f(k * kTokenChunk, std::min(n, (k + 1) * kTokenChunk), k);
}

// f(n) for every token.
template <class F>
void for_tokens(const Context& ctx, Index n, F&& f) {
    for_chunks(ctx, n, [&](Index begin, Index end, Index) {
        for (Index i = begin; i < end; ++i) f(i);
    });
}

}  // namespace plumb
