// Linear layer of few rows: y = x W^T for the handful of tokens that decoding has at once, where
// the time goes into reading W. Each weight is read from memory once, for all rows together, and
// every thread reads its share of W's rows.
//
// Row n of y is a function of row n of x and of W alone: the same bits whatever the number of rows,
// their content, and the number of threads. (A blocked matrix product does not promise that: its
// blocks, and so its order of addition, change with the number of rows.) So a text does not depend
// on the texts generated beside it.
#pragma once

#include "core/dispatch.h"

namespace plumb {

// y (N, Out) = x (N, In) W^T, W (Out, In). Overwrites y. Throws InternalError if shapes differ.
template <class T>
void linear_decode(const Context& ctx, View<const T> x, View<const RealOf<T>> w, View<T> y);

// On a device, of arguments that fit.
template <class T>
void linear_decode(Cpu, const Context& ctx, View<const T> x, View<const RealOf<T>> w, View<T> y);
template <class T>
void linear_decode(Cuda, const Context& ctx, View<const T> x, View<const RealOf<T>> w, View<T> y);

}  // namespace plumb
