// Columns of a matrix as a matrix of their own: a product of part of the rows of a packed weight.
#pragma once

#include "core/context.h"

namespace plumb {

// whole (N, Q), columns first .. first + P - 1 = part (N, P).
template <class T>
void put_columns(const Context& ctx, View<const T> part, Index first, View<T> whole);
// part (N, P) = those columns of whole (N, Q).
template <class T>
void take_columns(const Context& ctx, View<const T> whole, Index first, View<T> part);

}  // namespace plumb
