// Token embedding: v_0[n] = table[token[n]].
#pragma once

#include "core/dispatch.h"

namespace plumb {

// tokens (N), table (V, C), out (N, C) in storage type T; overwrites. Tokens must lie in [0, V).
template <class T>
void embedding(const Context& ctx, View<const std::int32_t> tokens, View<const RealOf<T>> table,
               View<T> out);

// dtable[token[n]] += dout[n]. Parallel over channels, so the order of additions is fixed.
template <class T>
void embedding_backward(const Context& ctx, View<const std::int32_t> tokens, View<const T> dout,
                        View<RealOf<T>> dtable);

// On a device, of arguments that fit.
template <class T>
void embedding(Cpu, const Context& ctx, View<const std::int32_t> tokens,
               View<const RealOf<T>> table, View<T> out);
template <class T>
void embedding(Cuda, const Context& ctx, View<const std::int32_t> tokens,
               View<const RealOf<T>> table, View<T> out);
template <class T>
void embedding_backward(Cpu, const Context& ctx, View<const std::int32_t> tokens,
                        View<const T> dout, View<RealOf<T>> dtable);
template <class T>
void embedding_backward(Cuda, const Context& ctx, View<const std::int32_t> tokens,
                        View<const T> dout, View<RealOf<T>> dtable);

}  // namespace plumb
