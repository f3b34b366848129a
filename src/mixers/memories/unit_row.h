// The passes of a running row whose weights are the constant 1 on a GPU: the standard residual
// (running_row.cuh). h and dh are summed up along the walk; v is used up by the read.
#pragma once

#include "core/dispatch.h"
#include "ops/pre_norm.h"

namespace plumb {

// Where ctx is; InternalError on the CPU, whose passes are in running_row.h.
template <class T>
void unit_read(const Context& ctx, bool first, View<const T> v, View<RealOf<T>> h,
               const PreNorm<T>& norm);
template <class T>
void unit_read_backward(const Context& ctx, bool last, View<RealOf<T>> dh, View<T> dv,
                        const PreNorm<T>& norm);

// h (N, C) = v, at the first site, or += v; then its norm. Overwrites xhat, rstd, x.
template <class T>
void unit_read(Cuda, const Context& ctx, bool first, View<const T> v, View<RealOf<T>> h,
               const PreNorm<T>& norm);
// D from the norm; dh (N, C) = D, at the last site, or += D; dv (N, C) = dh, and may be its memory.
template <class T>
void unit_read_backward(Cuda, const Context& ctx, bool last, View<RealOf<T>> dh, View<T> dv,
                        const PreNorm<T>& norm);

}  // namespace plumb
