// Weights of sources from their logits, for loops over logits or over queries: what
// SourceKeys::Weights means in the passes of Sources. z is what read l keeps: softmax, its lse;
// sigmoid_norm, the logarithm of its sigmoids' sum; sigmoid, 0.
#pragma once

#include "mixers/memories/sources.h"
#include "ops/exp.h"

namespace plumb {

// 1 / (1 + e^-s); 0 at -1e30.
template <class Real>
inline Real fast_sigmoid(Real s) {
    return Real(1) / (Real(1) + fast_exp(-s));
}

// p of a logit.
template <class Real>
inline Real share(SourceKeys::Weights weights, Real s, Real z) {
    return weights == SourceKeys::Weights::softmax ? fast_exp(s - z)
                                                   : fast_sigmoid(s) * fast_exp(-z);
}

// Of n = 8 queries: w = their logits' weights before they are divided, added to sum. max: softmax's
// largest logits.
template <class Real>
inline void add_masses(SourceKeys::Weights weights, const Real* s, const Real* max, Real* w,
                       Real* sum) {
    constexpr Index n = SourceRows<Real>::kStep;
    if (weights == SourceKeys::Weights::softmax) {
#pragma omp simd
        for (Index q = 0; q < n; ++q) {
            w[q] = fast_exp(s[q] - max[q]);
            sum[q] += w[q];
        }
        return;
    }
#pragma omp simd
    for (Index q = 0; q < n; ++q) {
        w[q] = fast_sigmoid(s[q]);
        sum[q] += w[q];
    }
}

}  // namespace plumb
