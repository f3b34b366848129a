// Token embedding: v_0[n] = table[token[n]].
#pragma once

#include "core/context.h"

namespace plumb {

// tokens (N), table (V, C), out (N, C); overwrites. Tokens must lie in [0, V).
template <class Real>
void embedding(const Context& ctx, View<const std::int32_t> tokens, View<const Real> table,
               View<Real> out);

// dtable[token[n]] += dout[n]. Parallel over channels, so the order of additions is fixed.
template <class Real>
void embedding_backward(const Context& ctx, View<const std::int32_t> tokens, View<const Real> dout,
                        View<Real> dtable);

}  // namespace plumb
