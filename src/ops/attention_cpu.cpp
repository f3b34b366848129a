#include "ops/attention_head.h"
#include "ops/reduce.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

// A thread's scratch: heads (T, D), tiles of scores (kAttentionTile, T) and of outputs.
template <class Real>
struct Scratch {
    Real *q, *k, *v, *dout, *dq, *dk, *dv, *p, *dp, *tile, *row;

    Scratch(const AttentionShape& s, const AttentionWorkspace<Real>& work) {
        Real* next = work.scratch.data + omp_get_thread_num() * attention_scratch(s);
        for (Real** x : {&q, &k, &v, &dout, &dq, &dk, &dv})
            *x = next, next += s.context * s.head_dim;
        for (Real** x : {&p, &dp}) *x = next, next += kAttentionTile * s.context;
        tile = next;
        row = next + kAttentionTile * s.head_dim;
    }
    GenericHead<Real> head(const AttentionShape& s, Rows<const Real> values, const Dropout& dropout,
                           Index mask_row) const {
        return {s.context, s.head_dim, q, k, values, dropout, mask_row, p, dp, tile};
    }
};

// What norm and rotation of the query or key heads need.
template <class Real>
struct Turn {
    const Real *cos, *sin;  // (T, D/2)
    const Real* gain;       // (D) or null: no norm
    Real eps, scale;        // scale: 1/sqrt(D) for queries, else 1
};

// ---- heads to scratch and back ----------------------------------------------------------------

// y = scale (x1 cos - x2 sin, x2 cos + x1 sin); sign = -1 turns back.
template <class X, class Y, class Real>
void rotate(const X* __restrict x, const Real* __restrict cos, const Real* __restrict sin,
            Real sign, Real scale, Index half, Y* __restrict y) {
#pragma omp simd
    for (Index i = 0; i < half; ++i) {
        const Real a = static_cast<Real>(x[i]) * scale, b = static_cast<Real>(x[i + half]) * scale;
        const Real s = sign * sin[i];
        y[i] = a * cos[i] - b * s;
        y[i + half] = b * cos[i] + a * s;
    }
}

template <class T>
RealOf<T> inverse_rms(const T* x, Index d, RealOf<T> eps) {
    return 1 / std::sqrt(dot(x, x, d) / static_cast<RealOf<T>>(d) + eps);
}

// y (T, D) = scale * rotated (gain * normed) x; row (D) is scratch.
template <class T, class Real>
void load_turned(const AttentionShape& s, const Turn<Real>& f, Rows<const T> x, Real* row,
                 Real* y) {
    const Index d = s.head_dim, half = d / 2;
    for (Index t = 0; t < s.context; ++t) {
        const Real *cos = f.cos + t * half, *sin = f.sin + t * half;
        if (!f.gain) {
            rotate(x.row(t), cos, sin, Real(1), f.scale, half, y + t * d);
            continue;
        }
        const Real rstd = inverse_rms(x.row(t), d, f.eps);
        for (Index i = 0; i < d; ++i) row[i] = rstd * static_cast<Real>(x.row(t)[i]) * f.gain[i];
        rotate(row, cos, sin, Real(1), f.scale, half, y + t * d);
    }
}

// The transpose: dy -> dx (T, D), overwritten; dgain (D) += .
template <class T, class Real>
void store_turned_back(const AttentionShape& s, const Turn<Real>& f, const Real* dy,
                       Rows<const T> x, Real* row, Rows<T> dx, Real* dgain) {
    const Index d = s.head_dim, half = d / 2;
    for (Index t = 0; t < s.context; ++t) {
        const Real *cos = f.cos + t * half, *sin = f.sin + t * half;
        if (!f.gain) {
            rotate(dy + t * d, cos, sin, Real(-1), f.scale, half, dx.row(t));
            continue;
        }
        rotate(dy + t * d, cos, sin, Real(-1), f.scale, half, row);
        const Real rstd = inverse_rms(x.row(t), d, f.eps);
        Real along = 0;  // <dxhat, xhat>
        for (Index i = 0; i < d; ++i) {
            const Real xhat = rstd * static_cast<Real>(x.row(t)[i]);
            dgain[i] += row[i] * xhat;
            row[i] *= f.gain[i];
            along += row[i] * xhat;
        }
        along *= rstd / static_cast<Real>(d);
        for (Index i = 0; i < d; ++i)
            dx.row(t)[i] = rstd * (row[i] - along * static_cast<Real>(x.row(t)[i]));
    }
}

// The rows of x as numbers to compute with: copied to y (T, D) if they are stored otherwise.
template <class T, class Real>
Rows<const Real> load(const AttentionShape& s, Rows<const T> x, Real* y) {
    if constexpr (std::is_same_v<T, Real>) {
        return x;
    } else {
        const Index d = s.head_dim;
        for (Index t = 0; t < s.context; ++t)
            for (Index i = 0; i < d; ++i) y[t * d + i] = x.row(t)[i];
        return {y, d};
    }
}

// ---- the heads that share a key head ----------------------------------------------------------

// Where the heads of sequence b lie in a packed projection x (N, qkv_width).
template <class T>
struct KeyGroup {
    const AttentionShape& s;
    T* first;  // of the sequence's first row
    Index kv;
    KeyGroup(const AttentionShape& shape, View<T> x, Index b, Index kv_head)
        : s(shape), first(x.row(b * shape.context)), kv(kv_head) {}
    Rows<T> q(Index h) const { return {first + h * s.head_dim, s.qkv_width()}; }
    Rows<T> k() const { return {first + (s.heads + kv) * s.head_dim, s.qkv_width()}; }
    Rows<T> v() const { return {first + s.qk_width() + kv * s.head_dim, s.qkv_width()}; }
};

// f(b, kv head) for every sequence and group of heads, one task each.
template <class F>
void for_groups(const Context& ctx, const AttentionShape& s, F&& f) {
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (ctx.threads > 1)
    for (Index task = 0; task < s.batch * s.kv_heads; ++task)
        f(task / s.kv_heads, task % s.kv_heads);
}

template <class Real>
std::pair<Turn<Real>, Turn<Real>> turns(const AttentionShape& s, View<const Real> gain_q,
                                        View<const Real> gain_k, Real eps,
                                        const AttentionWorkspace<Real>& w) {
    const Real scale = 1 / std::sqrt(static_cast<Real>(s.head_dim));
    return {{w.cos.data, w.sin.data, gain_q.data, eps, scale},
            {w.cos.data, w.sin.data, gain_k.data, eps, Real(1)}};
}

}  // namespace

template <class T>
void attention(Cpu, const Context& ctx, const AttentionShape& s, View<const T> qkv,
               View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k, RealOf<T> eps,
               View<T> out, View<RealOf<T>> lse, const AttentionWorkspace<RealOf<T>>& work,
               const Dropout& dropout) {
    const auto [turn_q, turn_k] = turns<RealOf<T>>(s, gain_q, gain_k, eps, work);
    const Index group = s.heads / s.kv_heads;
    for_groups(ctx, s, [&](Index b, Index kv) {
        const KeyGroup<const T> x(s, qkv, b, kv);
        const Scratch<RealOf<T>> w(s, work);
        load_turned<T>(s, turn_k, x.k(), w.row, w.k);
        const auto v = load<T>(s, x.v(), w.v);
        for (Index h = kv * group; h < (kv + 1) * group; ++h) {
            load_turned<T>(s, turn_q, x.q(h), w.row, w.q);
            const Index row = (b * s.heads + h) * s.context;
            generic_forward<T>(ctx, w.head(s, v, dropout, row),
                               {out.row(b * s.context) + h * s.head_dim, s.out_width()},
                               lse.data + row);
        }
    });
}

template <class T>
void attention_backward(Cpu, const Context& ctx, const AttentionShape& s, View<const T> dout,
                        View<const T> qkv, View<const RealOf<T>> gain_q,
                        View<const RealOf<T>> gain_k, RealOf<T> eps, View<const T> out,
                        View<const RealOf<T>> lse, View<T> dqkv, View<RealOf<T>> dgain_q,
                        View<RealOf<T>> dgain_k, const AttentionWorkspace<RealOf<T>>& work,
                        const Dropout& dropout) {
    using Real = RealOf<T>;
    const Index d = s.head_dim, group = s.heads / s.kv_heads, size = s.context * d;
    const auto [turn_q, turn_k] = turns<Real>(s, gain_q, gain_k, eps, work);
    for_groups(ctx, s, [&](Index b, Index kv) {
        const KeyGroup<const T> x(s, qkv, b, kv);
        const KeyGroup<T> dx(s, dqkv, b, kv);
        const Scratch<Real> w(s, work);
        Real* dgain = work.dgain.data + (b * s.kv_heads + kv) * 2 * d;
        if (gain_q) std::fill(dgain, dgain + 2 * d, Real(0));
        std::fill(w.dk, w.dk + size, Real(0));
        std::fill(w.dv, w.dv + size, Real(0));
        load_turned<T>(s, turn_k, x.k(), w.row, w.k);
        const auto v = load<T>(s, x.v(), w.v);
        for (Index h = kv * group; h < (kv + 1) * group; ++h) {
            const Index first = b * s.context, row = (b * s.heads + h) * s.context;
            load_turned<T>(s, turn_q, x.q(h), w.row, w.q);
            const auto dy = load<T>(s, {dout.row(first) + h * d, s.out_width()}, w.dout);
            generic_backward<T>(ctx, w.head(s, v, dropout, row),
                                {out.row(first) + h * d, s.out_width()}, dy, lse.data + row, w.dq,
                                w.dk, w.dv);
            store_turned_back<T>(s, turn_q, w.dq, x.q(h), w.row, dx.q(h), dgain);
        }
        store_turned_back<T>(s, turn_k, w.dk, x.k(), w.row, dx.k(), dgain + d);
        for (Index t = 0; t < s.context; ++t)
            for (Index i = 0; i < d; ++i) dx.v().row(t)[i] = w.dv[t * d + i];
    });
    if (!gain_q) return;
    for (Index task = 0; task < s.batch * s.kv_heads; ++task) {
        axpy(Real(1), work.dgain.data + task * 2 * d, dgain_q.data, d);
        axpy(Real(1), work.dgain.data + task * 2 * d + d, dgain_k.data, d);
    }
}

#define PLUMB_INSTANTIATE(T)                                                                      \
    template void attention(Cpu, const Context&, const AttentionShape&, View<const T>,            \
                            View<const RealOf<T>>, View<const RealOf<T>>, RealOf<T>, View<T>,     \
                            View<RealOf<T>>, const AttentionWorkspace<RealOf<T>>&,                \
                            const Dropout&);                                                      \
    template void attention_backward(Cpu, const Context&, const AttentionShape&, View<const T>,   \
                                     View<const T>, View<const RealOf<T>>, View<const RealOf<T>>, \
                                     RealOf<T>, View<const T>, View<const RealOf<T>>, View<T>,    \
                                     View<RealOf<T>>, View<RealOf<T>>,                            \
                                     const AttentionWorkspace<RealOf<T>>&, const Dropout&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
