// Sinkhorn normalisation of a small matrix, in the order the released mHC kernels use:
//     P = softmax_rows(logits) + eps;  P /= colsum + eps;  then (iters - 1) x {rows; columns}
// with eps = 1e-6 in every division. The last pass is over columns, so column sums are 1 up to eps
// and row sums only as far as the iterations converged (methods: 1e-4 at logit std 1, 0.05 at 5).
//
// One text for every kind of number that a rule runs on. In a scalar program, which trains, it is
// one operation with a transpose written by hand: 1,350 would take longer than the projection that
// the logits come from.
#pragma once

#include "mixers/rule.h"

#include <algorithm>

namespace plumb {

inline constexpr int kMaxSinkhornIters = 64, kMaxSinkhornSize = 8;
inline constexpr double kSinkhornEps = 1e-6;

namespace sinkhorn_passes {

// Position of the j-th entry of line i: line = column or row.
constexpr int entry(bool column, int i, int j, int k) { return column ? j * k + i : i * k + j; }

// Divides every row or column by its sum + eps, of which the inverse is kept if wanted.
template <class N>
[[gnu::always_inline]] inline void normalise(bool columns, int k, N* p, N* inverses) {
    for (int i = 0; i < k; ++i) {
        N sum(kSinkhornEps);
        for (int j = 0; j < k; ++j) sum += p[entry(columns, i, j, k)];
        const N inverse = N(1) / sum;
        for (int j = 0; j < k; ++j) p[entry(columns, i, j, k)] *= inverse;
        if (inverses) inverses[i] = inverse;
    }
}

// Its transpose, y the normalised lines: dx = (dy - <dy, y>) / sum. y becomes x again.
template <class N>
[[gnu::always_inline]] inline void normalise_backward(bool columns, int k, N* y, N* g,
                                                      const N* inverses) {
    for (int i = 0; i < k; ++i) {
        const N inverse = inverses[i], sum = N(1) / inverse;
        N along(0);
        for (int j = 0; j < k; ++j)
            along += g[entry(columns, i, j, k)] * y[entry(columns, i, j, k)];
        for (int j = 0; j < k; ++j) {
            N &to = g[entry(columns, i, j, k)], &value = y[entry(columns, i, j, k)];
            to = (to - along) * inverse;
            value *= sum;
        }
    }
}

// K = 4 streams stay in registers; K = 0: any number. `saved` may be null.
template <int K, class N>
void forward(int size, int iters, N* x, N* saved) {
    const int k = K ? K : size;
    N p[K ? K * K : kMaxSinkhornSize * kMaxSinkhornSize];
    N* inverses = saved ? saved + 2 * k * k : nullptr;
    for (int i = 0; i < k; ++i) softmax(k, x + i * k, p + i * k);
    if (saved) std::copy_n(p, k * k, saved);
    for (int i = 0; i < k * k; ++i) p[i] += N(kSinkhornEps);
    normalise(true, k, p, inverses);
    for (int pass = 1; pass < iters; ++pass) {
        if (saved) inverses += k;
        normalise(false, k, p, inverses);
        if (saved) inverses += k;
        normalise(true, k, p, inverses);
    }
    if (saved) std::copy_n(p, k * k, saved + k * k);
    std::copy_n(p, k * k, x);
}

template <int K, class N>
void backward(int size, int iters, const N* saved, N* dx) {
    const int k = K ? K : size;
    constexpr int kMost = K ? K * K : kMaxSinkhornSize * kMaxSinkhornSize;
    N y[kMost], g[kMost];
    std::copy_n(saved + k * k, k * k, y);
    std::copy_n(dx, k * k, g);
    const N* inverses = saved + 2 * k * k + (2 * iters - 2) * k;
    for (int pass = 1; pass < iters; ++pass, inverses -= 2 * k) {
        normalise_backward(true, k, y, g, inverses);
        normalise_backward(false, k, y, g, inverses - k);
    }
    normalise_backward(true, k, y, g, inverses);
    for (int i = 0; i < k * k; i += k) {
        N along(0);
        for (int j = 0; j < k; ++j) along += g[i + j] * saved[i + j];
        for (int j = 0; j < k; ++j) dx[i + j] = saved[i + j] * (g[i + j] - along);
    }
}

}  // namespace sinkhorn_passes

// What backward needs: softmax and P (k*k), the inverses of 2 iters - 1 passes (k).
constexpr int sinkhorn_saves(int k, int iters) { return 2 * k * k + (2 * iters - 1) * k; }

// logits x (k, k) row-major become P; k <= 8, 1 <= iters <= 64.
template <class N>
void sinkhorn(int k, int iters, N* x, N* saved = nullptr) {
    if (k == 4)
        sinkhorn_passes::forward<4>(k, iters, x, saved);
    else
        sinkhorn_passes::forward<0>(k, iters, x, saved);
}

// dLoss/dP becomes dLoss/dlogits, from what sinkhorn() saved.
template <class N>
void sinkhorn_backward(int k, int iters, const N* saved, N* g) {
    if (k == 4)
        sinkhorn_passes::backward<4>(k, iters, saved, g);
    else
        sinkhorn_passes::backward<0>(k, iters, saved, g);
}

}  // namespace plumb
