// Columns of a matrix as a matrix of their own: a product of part of the rows of a packed weight.
#pragma once

#include "core/bf16.h"
#include "core/dispatch.h"

namespace plumb {

// whole (N, Q), columns first .. first + P - 1 = part (N, P).
template <class T>
void put_columns(const Context& ctx, View<const T> part, Index first, View<T> whole);
// part (N, P) = those columns of whole (N, Q).
template <class T>
void take_columns(const Context& ctx, View<const T> whole, Index first, View<T> part);

// The last P columns of to (N, Q) += scale (1) * the last P of from (N, any).
template <class T>
void add_last_columns(const Context& ctx, View<const T> from, Index width,
                      View<const RealOf<T>> scale, View<T> to);
// The gradients of its sources, where dto's last P columns are d: dscale (1) += <from, d>, dfrom
// (N, P) = scale d or, with `add`, += it. sums (n_chunks(N)) is scratch.
template <class T>
void add_last_columns_backward(const Context& ctx, View<const T> from, View<const RealOf<T>> scale,
                               View<const T> dto, bool add, View<RealOf<T>> sums,
                               View<RealOf<T>> dscale, View<RealOf<T>> dfrom);
// The last P columns of to (N, Q) += x (N, P).
template <class T>
void add_to_last_columns(const Context& ctx, View<const RealOf<T>> x, View<T> to);

// On a device, of arguments that fit.
template <class T>
void put_columns(Cpu, const Context& ctx, View<const T> part, Index first, View<T> whole);
template <class T>
void put_columns(Cuda, const Context& ctx, View<const T> part, Index first, View<T> whole);
template <class T>
void take_columns(Cpu, const Context& ctx, View<const T> whole, Index first, View<T> part);
template <class T>
void take_columns(Cuda, const Context& ctx, View<const T> whole, Index first, View<T> part);
template <class T>
void add_last_columns(Cpu, const Context& ctx, View<const T> from, Index width,
                      View<const RealOf<T>> scale, View<T> to);
template <class T>
void add_last_columns(Cuda, const Context& ctx, View<const T> from, Index width,
                      View<const RealOf<T>> scale, View<T> to);
template <class T>
void add_last_columns_backward(Cpu, const Context& ctx, View<const T> from,
                               View<const RealOf<T>> scale, View<const T> dto, bool add,
                               View<RealOf<T>> sums, View<RealOf<T>> dscale, View<RealOf<T>> dfrom);
template <class T>
void add_last_columns_backward(Cuda, const Context& ctx, View<const T> from,
                               View<const RealOf<T>> scale, View<const T> dto, bool add,
                               View<RealOf<T>> sums, View<RealOf<T>> dscale, View<RealOf<T>> dfrom);
template <class T>
void add_to_last_columns(Cpu, const Context& ctx, View<const RealOf<T>> x, View<T> to);
template <class T>
void add_to_last_columns(Cuda, const Context& ctx, View<const RealOf<T>> x, View<T> to);

}  // namespace plumb
