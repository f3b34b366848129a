// Reductions over tokens with fixed chunks: the same bits for any number of threads.
#pragma once

#include "core/context.h"

namespace plumb {

// Dot product of two rows of c numbers; plain loop the compiler vectorises, no fast-math needed.
template <class Real>
inline Real dot(const Real* a, const Real* b, Index c) {
    Real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < c; ++i) sum += a[i] * b[i];
    return sum;
}

// y += a x over c numbers.
template <class Real>
inline void axpy(Real a, const Real* x, Real* y, Index c) {
#pragma omp simd
    for (Index i = 0; i < c; ++i) y[i] += a * x[i];
}

// y (N, C) += x (N, C).
template <class Real>
void add(const Context& ctx, View<const Real> x, View<Real> y);

// y (any shape) = x, same count.
template <class Real>
void copy(const Context& ctx, View<const Real> x, View<Real> y);

// out (C) += sum over chunks of partial (n_chunks, C): the second half of a token reduction.
template <class Real>
void add_partials(View<const Real> partial, Index chunks, View<Real> out);

// sum over all numbers of a * b, in double, chunk by chunk.
template <class Real>
double total_dot(const Context& ctx, View<const Real> a, View<const Real> b);

// sqrt of the mean square of all numbers, in double.
template <class Real>
double rms(const Context& ctx, View<const Real> x);

}  // namespace plumb
