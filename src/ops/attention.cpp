#include "ops/attention.h"

#include "core/dispatch.h"
#include "core/parallel.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

#include <omp.h>
#include <Eigen/Core>

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

template <class Real>
using Row = Eigen::Map<Eigen::Array<Real, 1, Eigen::Dynamic>>;

// One head of one sequence: where its rows start and how far apart they are.
template <class Real>
struct Rows {
    Real* data;
    Index stride;
    Real* row(Index t) const { return data + t * stride; }
};

// (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin); sign = -1 turns back.
template <class Real>
void rotate(Real* x, const Real* cos, const Real* sin, Real sign, Index half) {
    for (Index i = 0; i < half; ++i) {
        const Real a = x[i], b = x[i + half], s = sign * sin[i];
        x[i] = a * cos[i] - b * s;
        x[i + half] = b * cos[i] + a * s;
    }
}

// ---- queries and keys: norm, gain, rotation
// -------------------------------------------------------

// Replaces each q and k head of qkv by its RMS-normed value.
template <class Real>
void norm_heads(const Context& ctx, const AttentionShape& s, View<Real> qkv, Real eps,
                View<Real> rstd) {
    const Index d = s.head_dim, n_heads = s.heads + s.kv_heads;
    for_tokens(ctx, s.tokens(), [&](Index n) {
        for (Index h = 0; h < n_heads; ++h) {
            Real* x = qkv.row(n) + h * d;
            const Real r = Real(1) / std::sqrt(dot(x, x, d) / static_cast<Real>(d) + eps);
            for (Index i = 0; i < d; ++i) x[i] *= r;
            rstd.data[n * n_heads + h] = r;
        }
    });
}

// work.qk = rotated (gain * ) q and k heads of qkv.
template <class Real>
void rotate_heads(const Context& ctx, const AttentionShape& s, View<const Real> qkv,
                  View<const Real> gain_q, View<const Real> gain_k,
                  const AttentionWorkspace<Real>& w) {
    const Index d = s.head_dim;
    for_tokens(ctx, s.tokens(), [&](Index n) {
        Real* out = w.qk.row(n);
        std::copy(qkv.row(n), qkv.row(n) + s.qk_width(), out);
        const Index t = n % s.context;
        for (Index h = 0; h < s.heads + s.kv_heads; ++h, out += d) {
            const View<const Real>& gain = h < s.heads ? gain_q : gain_k;
            if (gain)
                for (Index i = 0; i < d; ++i) out[i] *= gain.data[i];
            rotate(out, w.cos.row(t), w.sin.row(t), Real(1), d / 2);
        }
    });
}

// work.dqk -> dqkv's q and k heads, through rotation, gain and norm; dgain += in token order.
template <class Real>
void rotate_heads_backward(const Context& ctx, const AttentionShape& s, View<const Real> qkv,
                           View<const Real> gain_q, View<const Real> gain_k, View<const Real> rstd,
                           View<Real> dqkv, View<Real> dgain_q, View<Real> dgain_k,
                           const AttentionWorkspace<Real>& w) {
    const Index d = s.head_dim, n_heads = s.heads + s.kv_heads;
    for_tokens(ctx, s.tokens(), [&](Index n) {
        for (Index h = 0; h < n_heads; ++h)
            rotate(w.dqk.row(n) + h * d, w.cos.row(n % s.context), w.sin.row(n % s.context),
                   Real(-1), d / 2);
        std::copy(w.dqk.row(n), w.dqk.row(n) + s.qk_width(), dqkv.row(n));
    });
    if (!gain_q) return;
    for (Index n = 0; n < s.tokens(); ++n)
        for (Index h = 0; h < n_heads; ++h) {
            const Real* dx = w.dqk.row(n) + h * d;
            Real* dgain = h < s.heads ? dgain_q.data : dgain_k.data;
            for (Index i = 0; i < d; ++i) dgain[i] += dx[i] * qkv.row(n)[h * d + i];
        }
    for_tokens(ctx, s.tokens(), [&](Index n) {
        for (Index h = 0; h < n_heads; ++h) {
            const Real* xhat = qkv.row(n) + h * d;
            const Real* gain = h < s.heads ? gain_q.data : gain_k.data;
            Real* dx = dqkv.row(n) + h * d;
            for (Index i = 0; i < d; ++i) dx[i] *= gain[i];
            const Real along = dot<Real>(dx, xhat, d) / static_cast<Real>(d);
            for (Index i = 0; i < d; ++i)
                dx[i] = rstd.data[n * n_heads + h] * (dx[i] - xhat[i] * along);
        }
    });
}

// ---- one head
// --------------------------------------------------------------------------------------

// The heads of one sequence share their rows' strides; this finds them.
template <class Real>
struct HeadRows {
    Rows<const Real> q, k, v;
};

template <class Real>
HeadRows<Real> head_rows(const AttentionShape& s, Index b, Index h, View<const Real> qk,
                         View<const Real> qkv) {
    const Index d = s.head_dim, kv = h / (s.heads / s.kv_heads), n = b * s.context;
    return {{qk.row(n) + h * d, s.qk_width()},
            {qk.row(n) + (s.heads + kv) * d, s.qk_width()},
            {qkv.row(n) + (s.heads + s.kv_heads + kv) * d, s.qkv_width()}};
}

// scores (rows, cols) = scale Q_tile K^T for queries first..first+rows-1 and keys 0..cols-1
template <class Real>
void tile_scores(const Context& ctx, const AttentionShape& s, const HeadRows<Real>& r, Index first,
                 Index rows, Index cols, Real* scores) {
    const Real scale = Real(1) / std::sqrt(static_cast<Real>(s.head_dim));
    gemm(ctx, Op::none, Op::transpose, rows, cols, s.head_dim, scale, r.q.row(first), r.q.stride,
         r.k.data, r.k.stride, Real(0), scores, s.context);
}

template <class Real>
void head_forward(const Context& ctx, const AttentionShape& s, const HeadRows<Real>& r,
                  Rows<Real> out, Real* lse, Real* scores) {
    for (Index first = 0; first < s.context; first += kAttentionTile) {
        const Index rows = std::min(kAttentionTile, s.context - first), cols = first + rows;
        tile_scores(ctx, s, r, first, rows, cols, scores);
        for (Index i = 0; i < rows; ++i) {
            const Index seen = first + i + 1;  // keys 0..first+i
            Row<Real> p(scores + i * s.context, seen);
            const Real max = p.maxCoeff();
            p = (p - max).exp();
            const Real sum = p.sum();
            p *= Real(1) / sum;
            std::fill(scores + i * s.context + seen, scores + i * s.context + cols, Real(0));
            lse[first + i] = max + std::log(sum);
        }
        gemm(ctx, Op::none, Op::none, rows, s.head_dim, cols, Real(1), scores, s.context, r.v.data,
             r.v.stride, Real(0), out.row(first), out.stride);
    }
}

// Adds to dk and dv (several query heads may share them), overwrites dq.
template <class Real>
void head_backward(const Context& ctx, const AttentionShape& s, const HeadRows<Real>& r,
                   Rows<const Real> out, Rows<const Real> dout, const Real* lse, Rows<Real> dq,
                   Rows<Real> dk, Rows<Real> dv, Real* p, Real* dp) {
    const Real scale = Real(1) / std::sqrt(static_cast<Real>(s.head_dim));
    const Index d = s.head_dim, ld = s.context;
    for (Index first = 0; first < s.context; first += kAttentionTile) {
        const Index rows = std::min(kAttentionTile, s.context - first), cols = first + rows;
        tile_scores(ctx, s, r, first, rows, cols, p);
        gemm(ctx, Op::none, Op::transpose, rows, cols, d, Real(1), dout.row(first), dout.stride,
             r.v.data, r.v.stride, Real(0), dp, ld);
        for (Index i = 0; i < rows; ++i) {
            const Index t = first + i, seen = t + 1;
            Row<Real> weight(p + i * ld, seen), grad(dp + i * ld, seen);
            weight = (weight - lse[t]).exp();
            const Real delta = dot(out.row(t), dout.row(t), d);
            grad = weight * (grad - delta) * scale;
            std::fill(p + i * ld + seen, p + i * ld + cols, Real(0));
            std::fill(dp + i * ld + seen, dp + i * ld + cols, Real(0));
        }
        gemm(ctx, Op::transpose, Op::none, cols, d, rows, Real(1), p, ld, dout.row(first),
             dout.stride, Real(1), dv.data, dv.stride);
        gemm(ctx, Op::none, Op::none, rows, d, cols, Real(1), dp, ld, r.k.data, r.k.stride, Real(0),
             dq.row(first), dq.stride);
        gemm(ctx, Op::transpose, Op::none, cols, d, rows, Real(1), dp, ld, r.q.row(first),
             r.q.stride, Real(1), dk.data, dk.stride);
    }
}

// f(b, kv head) for every sequence and group of heads, one task each.
template <class F>
void for_groups(const Context& ctx, const AttentionShape& s, F&& f) {
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (ctx.threads > 1)
    for (Index task = 0; task < s.batch * s.kv_heads; ++task)
        f(task / s.kv_heads, task % s.kv_heads);
}

template <class Real>
Real* thread_scores(const AttentionShape& s, const AttentionWorkspace<Real>& w, int which) {
    return w.scores.data + (2 * omp_get_thread_num() + which) * kAttentionTile * s.context;
}

}  // namespace

template <class Real>
void rope_table(double base, View<Real> cos, View<Real> sin) {
    const Index half = cos.extent(1);
    for (Index t = 0; t < cos.extent(0); ++t)
        for (Index i = 0; i < half; ++i) {
            const double angle =
                static_cast<double>(t) *
                std::pow(base, -static_cast<double>(i) / static_cast<double>(half));
            cos.row(t)[i] = static_cast<Real>(std::cos(angle));
            sin.row(t)[i] = static_cast<Real>(std::sin(angle));
        }
}

template <class Real>
void attention(const Context& ctx, const AttentionShape& s, View<Real> qkv, View<const Real> gain_q,
               View<const Real> gain_k, Real eps, View<Real> rstd, View<Real> out, View<Real> lse,
               const AttentionWorkspace<Real>& work) {
    require(qkv.extent(1) == s.qkv_width() && out.extent(1) == s.out_width() &&
                lse.count() == s.batch * s.heads * s.context,
            "attention: shapes differ");
    dispatch(ctx, "attention", [&](Cpu) {
        if (gain_q) norm_heads(ctx, s, qkv, eps, rstd);
        rotate_heads<Real>(ctx, s, qkv, gain_q, gain_k, work);
        const Index group = s.heads / s.kv_heads;
        for_groups(ctx, s, [&](Index b, Index kv) {
            for (Index h = kv * group; h < (kv + 1) * group; ++h)
                head_forward(ctx, s, head_rows<Real>(s, b, h, work.qk, qkv),
                             {out.row(b * s.context) + h * s.head_dim, s.out_width()},
                             lse.data + (b * s.heads + h) * s.context, thread_scores(s, work, 0));
        });
    });
}

template <class Real>
void attention_backward(const Context& ctx, const AttentionShape& s, View<const Real> dout,
                        View<const Real> qkv, View<const Real> gain_q, View<const Real> gain_k,
                        View<const Real> rstd, View<const Real> out, View<const Real> lse,
                        View<Real> dqkv, View<Real> dgain_q, View<Real> dgain_k,
                        const AttentionWorkspace<Real>& work) {
    const Index d = s.head_dim, group = s.heads / s.kv_heads;
    dispatch(ctx, "attention_backward", [&](Cpu) {
        rotate_heads(ctx, s, qkv, gain_q, gain_k, work);
        for_groups(ctx, s, [&](Index b, Index kv) {
            const Index n = b * s.context;
            const Rows<Real> dk{work.dqk.row(n) + (s.heads + kv) * d, s.qk_width()};
            const Rows<Real> dv{dqkv.row(n) + (s.heads + s.kv_heads + kv) * d, s.qkv_width()};
            for (Index t = 0; t < s.context; ++t) {
                std::fill(dk.row(t), dk.row(t) + d, Real(0));
                std::fill(dv.row(t), dv.row(t) + d, Real(0));
            }
            for (Index h = kv * group; h < (kv + 1) * group; ++h)
                head_backward(ctx, s, head_rows<Real>(s, b, h, work.qk, qkv),
                              {out.row(n) + h * d, s.out_width()},
                              {dout.row(n) + h * d, s.out_width()},
                              lse.data + (b * s.heads + h) * s.context,
                              {work.dqk.row(n) + h * d, s.qk_width()}, dk, dv,
                              thread_scores(s, work, 0), thread_scores(s, work, 1));
        });
        rotate_heads_backward(ctx, s, qkv, gain_q, gain_k, rstd, dqkv, dgain_q, dgain_k, work);
    });
}

#define PLUMB_INSTANTIATE(Real)                                                                   \
    template void rope_table(double, View<Real>, View<Real>);                                     \
    template void attention(const Context&, const AttentionShape&, View<Real>, View<const Real>,  \
                            View<const Real>, Real, View<Real>, View<Real>, View<Real>,           \
                            const AttentionWorkspace<Real>&);                                     \
    template void attention_backward(                                                             \
        const Context&, const AttentionShape&, View<const Real>, View<const Real>,                \
        View<const Real>, View<const Real>, View<const Real>, View<const Real>, View<const Real>, \
        View<Real>, View<Real>, View<Real>, const AttentionWorkspace<Real>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
