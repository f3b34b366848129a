// mixers/sinkhorn.h as a step of a scalar program (scalar_program.cuh), a thread a token: in place,
// all in its order, entries in global memory.
//
// Matrices of 2 and 4 lines pass through registers (memories/sinkhorn.cuh): else 20 rounds of 4 x 4
// read and write the caches 2,000 times a token forward and 6,000 backward, one after another, and
// not 32 and 440. Bytes, who computes what: scalar_program.cuh.
#pragma once

#include "mixers/memories/sinkhorn.cuh"
#include "mixers/sinkhorn.h"

#include <type_traits>

namespace plumb::gpu {

template <class Real>
struct Entries {  // of a token, `step` numbers apart
    Real* first;
    long step;

    __device__ Real& operator[](int i) const { return first[i * step]; }
    __device__ Entries operator+(int i) const { return {first + i * step, step}; }
};

__device__ inline int sinkhorn_entry(bool column, int i, int j, int k) {
    return column ? j * k + i : i * k + j;
}

template <class Real>
__device__ void sinkhorn_normalise(bool columns, int k, Entries<Real> p, Entries<Real> inverses,
                                   bool keep) {
    for (int i = 0; i < k; ++i) {
        Real sum = Real(plumb::kSinkhornEps);
        for (int j = 0; j < k; ++j) sum += p[sinkhorn_entry(columns, i, j, k)];
        const Real inverse = Real(1) / sum;
        for (int j = 0; j < k; ++j) p[sinkhorn_entry(columns, i, j, k)] *= inverse;
        if (keep) inverses[i] = inverse;
    }
}

// saved: softmax, P (k k each), inverses of 2 iters - 1 passes (k each); nothing where !keep.
template <class Real>
__device__ void sinkhorn_forward(int k, int iters, Entries<Real> x, Entries<Real> saved,
                                 bool keep) {
    for (int i = 0; i < k * k; i += k) {
        Real most = x[i], sum = 0;
        for (int j = 1; j < k; ++j) most = x[i + j] > most ? x[i + j] : most;
        for (int j = 0; j < k; ++j) sum += x[i + j] = exp(x[i + j] - most);
        const Real scale = Real(1) / sum;
        for (int j = 0; j < k; ++j) {
            x[i + j] *= scale;
            if (keep) saved[i + j] = x[i + j];
            x[i + j] += Real(plumb::kSinkhornEps);
        }
    }
    Entries<Real> inverses = saved + 2 * k * k;
    sinkhorn_normalise(true, k, x, inverses, keep);
    for (int pass = 1; pass < iters; ++pass) {
        sinkhorn_normalise(false, k, x, inverses + k, keep);
        sinkhorn_normalise(true, k, x, inverses + 2 * k, keep);
        inverses = inverses + 2 * k;
    }
    for (int i = 0; keep && i < k * k; ++i) saved[k * k + i] = x[i];
}

// y, the normalised lines, becomes what they were, g the gradient of that.
template <class Real>
__device__ void sinkhorn_normalise_backward(bool columns, int k, Entries<Real> y, Entries<Real> g,
                                            Entries<Real> inverses) {
    for (int i = 0; i < k; ++i) {
        const Real inverse = inverses[i], sum = Real(1) / inverse;
        Real along = 0;
        for (int j = 0; j < k; ++j) {
            const int e = sinkhorn_entry(columns, i, j, k);
            along += g[e] * y[e];
        }
        for (int j = 0; j < k; ++j) {
            const int e = sinkhorn_entry(columns, i, j, k);
            g[e] = (g[e] - along) * inverse;
            y[e] *= sum;
        }
    }
}

// g: dLoss/dP becomes dLoss/dlogits. Spoils saved.
template <class Real>
__device__ void sinkhorn_backward(int k, int iters, Entries<Real> saved, Entries<Real> g) {
    const Entries<Real> y = saved + k * k, inverses = saved + 2 * k * k;
    for (int pass = 2 * iters - 2; pass >= 0; --pass)
        sinkhorn_normalise_backward(pass % 2 == 0, k, y, g, inverses + pass * k);
    for (int i = 0; i < k * k; i += k) {
        Real along = 0;
        for (int j = 0; j < k; ++j) along += g[i + j] * saved[i + j];
        for (int j = 0; j < k; ++j) g[i + j] = saved[i + j] * (g[i + j] - along);
    }
}

// Of K lines, in registers; saved: divisors in place of their inverses.
template <int K, class Real>
__device__ void sinkhorn_lines(int iters, Entries<Real> x, Entries<Real> saved, bool keep) {
    Real p[K * K], divisor[K];
#pragma unroll
    for (int e = 0; e < K * K; ++e) p[e] = x[e];
    softmax_rows<K>(p);
#pragma unroll
    for (int e = 0; e < K * K; ++e) {
        if (keep) saved[e] = p[e];
        p[e] += Real(plumb::kSinkhornEps);
    }
    const auto pass = [&](auto columns, int n) {
        divide_lines<columns.value, K>(p, divisor);
#pragma unroll
        for (int i = 0; i < K; ++i)
            if (keep) saved[2 * K * K + n * K + i] = divisor[i];
    };
    pass(std::true_type{}, 0);
    for (int n = 1; n < 2 * iters - 1; n += 2) {
        pass(std::false_type{}, n);
        pass(std::true_type{}, n + 1);
    }
#pragma unroll
    for (int e = 0; e < K * K; ++e) {
        x[e] = p[e];
        if (keep) saved[K * K + e] = p[e];
    }
}
template <int K, class Real>
__device__ void sinkhorn_lines_backward(int iters, Entries<Real> saved, Entries<Real> out) {
    Real y[K * K], g[K * K], divisor[K];
#pragma unroll
    for (int e = 0; e < K * K; ++e) y[e] = saved[K * K + e], g[e] = out[e];
    const auto pass = [&](auto columns, int n) {
#pragma unroll
        for (int i = 0; i < K; ++i) divisor[i] = saved[2 * K * K + n * K + i];
        divide_lines_back<columns.value, K>(divisor, y, g);
    };
    for (int n = 2 * iters - 2; n > 0; n -= 2) {
        pass(std::true_type{}, n);
        pass(std::false_type{}, n - 1);
    }
    pass(std::true_type{}, 0);
#pragma unroll
    for (int i = 0; i < K * K; i += K) {
        Real along = 0;
#pragma unroll
        for (int j = 0; j < K; ++j) along += g[i + j] * saved[i + j];
#pragma unroll
        for (int j = 0; j < K; ++j) out[i + j] = saved[i + j] * (g[i + j] - along);
    }
}

template <class Real>
__device__ void sinkhorn_of(int k, int iters, Entries<Real> x, Entries<Real> saved, bool keep) {
    if (k == 2) return sinkhorn_lines<2>(iters, x, saved, keep);
    if (k == 4) return sinkhorn_lines<4>(iters, x, saved, keep);
    sinkhorn_forward(k, iters, x, saved, keep);
}
template <class Real>
__device__ void sinkhorn_of_backward(int k, int iters, Entries<Real> saved, Entries<Real> g) {
    if (k == 2) return sinkhorn_lines_backward<2>(iters, saved, g);
    if (k == 4) return sinkhorn_lines_backward<4>(iters, saved, g);
    sinkhorn_backward(k, iters, saved, g);
}

}  // namespace plumb::gpu
