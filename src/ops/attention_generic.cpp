#include "core/parallel.h"
#include "ops/attention_head.h"
#include "ops/exp.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

// ---- rows of weights --------------------------------------------------------------------------

// z -> e^(z - max z) in place; returns {max, sum}.
template <class Real>
std::pair<Real, Real> exp_row(Real* z, Index n) {
    Real max = z[0], sum = 0;
#pragma omp simd reduction(max : max)
    for (Index j = 0; j < n; ++j) max = z[j] > max ? z[j] : max;
#pragma omp simd reduction(+ : sum)
    for (Index j = 0; j < n; ++j) {
        z[j] = fast_exp(z[j] - max);
        sum += z[j];
    }
    return {max, sum};
}

template <class Real>
void drop_row(const Dropout& d, Index row, Real* p, Index n) {
    Real keep[kDropoutBlock];
    for (Index begin = 0; begin < n; begin += kDropoutBlock) {
        dropout_factors(d, row, begin / kDropoutBlock, keep);
        const Index count = std::min(kDropoutBlock, n - begin);
#pragma omp simd
        for (Index j = 0; j < count; ++j) p[begin + j] *= keep[j];
    }
}

// Scores p and gradients dp of dropped weights -> dropped weights and gradients of the scores.
template <class Real>
void backward_row(const Dropout& d, Index row, Real lse, Real delta, Real* __restrict p,
                  Real* __restrict dp, Index n) {
    if (!d) {
#pragma omp simd
        for (Index j = 0; j < n; ++j) {
            p[j] = fast_exp(p[j] - lse);
            dp[j] = p[j] * (dp[j] - delta);
        }
        return;
    }
    Real keep[kDropoutBlock];
    for (Index begin = 0; begin < n; begin += kDropoutBlock) {
        dropout_factors(d, row, begin / kDropoutBlock, keep);
        const Index count = std::min(kDropoutBlock, n - begin);
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            const Real weight = fast_exp(p[begin + j] - lse);
            dp[begin + j] = weight * (keep[j] * dp[begin + j] - delta);
            p[begin + j] = keep[j] * weight;
        }
    }
}

// ---- a head -----------------------------------------------------------------------------------

// c (rows, cols) of row length T = queries a of the tile times keys or values b transposed.
template <class Real>
void tile_scores(const Context& ctx, const GenericHead<Real>& h, Index rows, Index cols,
                 Rows<const Real> a, Rows<const Real> b, Real* c) {
    gemm(ctx, Op::none, Op::transpose, rows, cols, h.head_dim, Real(1), a.data, a.stride, b.data,
         b.stride, Real(0), c, h.context);
}

}  // namespace

template <class T, class Real>
void generic_forward(const Context& ctx, const GenericHead<Real>& a, Rows<T> out, Real* lse) {
    const Index d = a.head_dim, ld = a.context;
    Real scale[kAttentionTile];
    for (Index first = 0; first < a.context; first += kAttentionTile) {
        const Index rows = std::min(kAttentionTile, a.context - first), cols = first + rows;
        tile_scores<Real>(ctx, a, rows, cols, {a.q + first * d, d}, {a.k, d}, a.p);
        for (Index i = 0; i < rows; ++i) {
            const Index t = first + i, seen = t + 1;  // keys 0..t
            Real* p = a.p + i * ld;
            const auto [max, sum] = exp_row(p, seen);
            if (a.dropout) drop_row(a.dropout, a.mask_row + t, p, seen);
            std::fill(p + seen, p + cols, Real(0));
            lse[t] = max + std::log(sum);
            scale[i] = 1 / sum;
        }
        gemm(ctx, Op::none, Op::none, rows, d, cols, Real(1), a.p, ld, a.v.data, a.v.stride,
             Real(0), a.tile, d);
        for (Index i = 0; i < rows; ++i) {
            const Real* x = a.tile + i * d;
            T* y = out.row(first + i);
#pragma omp simd
            for (Index c = 0; c < d; ++c) y[c] = scale[i] * x[c];
        }
    }
}

template <class T, class Real>
void generic_backward(const Context& ctx, const GenericHead<Real>& a, Rows<const T> out,
                      Rows<const Real> dout, const Real* lse, Real* dq, Real* dk, Real* dv) {
    const Index d = a.head_dim, ld = a.context;
    for (Index first = 0; first < a.context; first += kAttentionTile) {
        const Index rows = std::min(kAttentionTile, a.context - first), cols = first + rows;
        const Rows<const Real> tile_dout{dout.row(first), dout.stride};
        tile_scores<Real>(ctx, a, rows, cols, {a.q + first * d, d}, {a.k, d}, a.p);
        tile_scores<Real>(ctx, a, rows, cols, tile_dout, a.v, a.dp);
        for (Index i = 0; i < rows; ++i) {
            const Index t = first + i, seen = t + 1;
            Real *p = a.p + i * ld, *dp = a.dp + i * ld;
            const Real delta = dot<Real>(dout.row(t), out.row(t), d);
            backward_row(a.dropout, a.mask_row + t, lse[t], delta, p, dp, seen);
            std::fill(p + seen, p + cols, Real(0));
            std::fill(dp + seen, dp + cols, Real(0));
        }
        gemm(ctx, Op::transpose, Op::none, cols, d, rows, Real(1), a.p, ld, tile_dout.data,
             tile_dout.stride, Real(1), dv, d);
        gemm(ctx, Op::none, Op::none, rows, d, cols, Real(1), a.dp, ld, a.k, d, Real(0),
             dq + first * d, d);
        gemm(ctx, Op::transpose, Op::none, cols, d, rows, Real(1), a.dp, ld, a.q + first * d, d,
             Real(1), dk, d);
    }
}

#define PLUMB_INSTANTIATE(T)                                                                     \
    template void generic_forward(const Context&, const GenericHead<RealOf<T>>&, Rows<T>,        \
                                  RealOf<T>*);                                                   \
    template void generic_backward(const Context&, const GenericHead<RealOf<T>>&, Rows<const T>, \
                                   Rows<const RealOf<T>>, const RealOf<T>*, RealOf<T>*,          \
                                   RealOf<T>*, RealOf<T>*);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
