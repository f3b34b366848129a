// Rows of numbers, and reductions over tokens with fixed chunks: the same bits for any number of
// threads.
#pragma once

#include "core/dispatch.h"

namespace plumb {

// Dot product of two rows of c numbers, which may be stored in different types, summed in
// RealOf<A>; plain loop the compiler vectorises, no fast-math needed.
template <class A, class B = A>
inline RealOf<A> dot(const A* a, const B* b, Index c) {
    using Real = RealOf<A>;
    Real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < c; ++i) sum += static_cast<Real>(a[i]) * static_cast<Real>(b[i]);
    return sum;
}

// y += a x over c numbers.
template <class Real, class X = Real, class Y = Real>
inline void axpy(Real a, const X* x, Y* y, Index c) {
#pragma omp simd
    for (Index i = 0; i < c; ++i) y[i] = static_cast<Real>(y[i]) + a * static_cast<Real>(x[i]);
}

// y (any shape) = x, same count.
template <class T>
void copy(const Context& ctx, View<const T> x, View<T> y);

// y (any shape) = x in RealOf<T>, same count.
template <class T>
void widen(const Context& ctx, View<const T> x, View<RealOf<T>> y);
// x (any shape) = 0.
template <class Real>
void clear(const Context& ctx, View<Real> x);

// out (C) += sum over its rows of partial (P, C), in order: the second half of a token reduction.
template <class Real>
void add_partials(const Context& ctx, View<const Real> partial, View<Real> out);

// sum (1) = sum over all numbers of a * b: runs of 1024 in RealOf<T>, those in double.
template <class T>
void total_dot(const Context& ctx, View<const T> a, View<const T> b, View<double> sum);

// Whether none of the numbers is a NaN or an infinity. The host waits for the answer.
template <class Real>
bool all_finite(const Context& ctx, View<const Real> x);

// On a device, of arguments that fit.
template <class T>
void copy(Cpu, const Context& ctx, View<const T> x, View<T> y);
template <class T>
void copy(Cuda, const Context& ctx, View<const T> x, View<T> y);
template <class T>
void widen(Cpu, const Context& ctx, View<const T> x, View<RealOf<T>> y);
template <class T>
void widen(Cuda, const Context& ctx, View<const T> x, View<RealOf<T>> y);
template <class Real>
void clear(Cpu, const Context& ctx, View<Real> x);
template <class Real>
void clear(Cuda, const Context& ctx, View<Real> x);
template <class Real>
void add_partials(Cpu, const Context& ctx, View<const Real> partial, View<Real> out);
template <class Real>
void add_partials(Cuda, const Context& ctx, View<const Real> partial, View<Real> out);
template <class T>
void total_dot(Cpu, const Context& ctx, View<const T> a, View<const T> b, View<double> sum);
template <class T>
void total_dot(Cuda, const Context& ctx, View<const T> a, View<const T> b, View<double> sum);
template <class Real>
bool all_finite(Cpu, const Context& ctx, View<const Real> x);
template <class Real>
bool all_finite(Cuda, const Context& ctx, View<const Real> x);

}  // namespace plumb
