#include "core/simd.h"
#include "ops/attention_head.h"
#include "ops/attention_kernel.h"
#include "ops/reduce.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

// A thread's scratch: heads (rows, D), a row (D), and what the kernel needs. Where it goes in
// tiles, rows from T on are zero.
template <class Real>
struct Scratch {
    Index context, head_dim, rows;
    Real *q, *k, *v, *dout, *dq, *dk, *dv, *row, *rest;

    Scratch(const AttentionShape& s, const AttentionWorkspace<Real>& work, bool tiled)
        : context(s.context), head_dim(s.head_dim), rows(tiled ? head_rows(context) : context) {
        Real* next = work.scratch.data + omp_get_thread_num() * attention_scratch(s);
        for (Real** x : {&q, &k, &v, &dout, &dq, &dk, &dv}) {
            *x = next, next += rows * head_dim;
            std::fill(*x + context * head_dim, next, Real(0));
        }
        row = next;
        rest = next + head_dim;
    }
    GenericHead<Real> generic(Rows<const Real> values, const Dropout& dropout,
                              Index mask_row) const {
        Real* dp = rest + kAttentionTile * context;
        return {context, head_dim, q,    k,  values,
                dropout, mask_row, rest, dp, dp + kAttentionTile * context};
    }
    // Statistics of the queries (rows) twice, then the kernel's own.
    FloatHead tiled(const Dropout& dropout, Index mask_row) const {
        FloatHead h{};
        h.context = context, h.head_dim = head_dim;
        h.q = q, h.k = k, h.v = v, h.dout = dout, h.dq = dq, h.dk = dk, h.dv = dv;
        h.dropout = dropout ? &dropout : nullptr, h.mask_row = mask_row;
        h.max = rest, h.sum = rest + rows, h.lse = h.max, h.delta = h.sum;
        h.scratch = rest + 2 * rows;
        return h;
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

// Asks for row t + 16, to read or (of a T that is not const) to write it: rows of a head lie a
// projection's width apart, which the hardware does not follow.
template <class T>
void ask_ahead(const AttentionShape& s, Rows<T> x, Index t) {
    T* row = x.row(std::min(t + 16, s.context - 1));
    if constexpr (std::is_const_v<T>)
        prefetch_read(row, s.head_dim);
    else
        prefetch_write(row, s.head_dim);
}

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
        ask_ahead(s, x, t);
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
        ask_ahead(s, dx, t);
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

// The rows of x as numbers to compute with: copied to y (T, D) if they are stored otherwise, or if
// `always`.
template <class T, class Real>
Rows<const Real> load(const AttentionShape& s, Rows<const T> x, Real* y, bool always) {
    if constexpr (std::is_same_v<T, Real>)
        if (!always) return x;
    const Index d = s.head_dim;
    for (Index t = 0; t < s.context; ++t) {
        ask_ahead(s, x, t);
        for (Index i = 0; i < d; ++i) y[t * d + i] = static_cast<Real>(x.row(t)[i]);
    }
    return {y, d};
}

// ---- a head in tiles, whatever it is stored in --------------------------------------------------

template <class T>
void tiled_forward(const HeadPasses& passes, const Scratch<float>& w, FloatHead h, Rows<T> out,
                   float* lse) {
    constexpr bool stored = std::is_same_v<T, float>;
    if constexpr (stored)
        h.out = out.data, h.out_stride = out.stride;
    else
        h.out = w.dq, h.out_stride = h.head_dim;
    passes.forward(h);
    for (Index t = 0; t < h.context; ++t) lse[t] = h.max[t] + std::log(h.sum[t]);
    if constexpr (!stored)
        for (Index t = 0; t < h.context; ++t)
            for (Index i = 0; i < h.head_dim; ++i) out.row(t)[i] = h.out[t * h.head_dim + i];
}

// w.dout: the rows that h.delta is of.
template <class T>
void tiled_backward(const HeadPasses& passes, const Scratch<float>& w, const FloatHead& h,
                    Rows<const T> out, const float* lse) {
    float *to = w.rest, *delta = to + w.rows;
    for (Index t = 0; t < w.rows; ++t) {
        const bool real = t < h.context;
        to[t] = real ? lse[t] : 0;
        delta[t] = real ? dot<float>(w.dout + t * h.head_dim, out.row(t), h.head_dim) : 0;
    }
    passes.backward(h);
}

// ---- a head, by the kernel that serves it -------------------------------------------------------

// The kernel that goes in tiles, if one serves this head size and type.
template <class T>
const HeadPasses* tiles(const AttentionShape& s) {
    if constexpr (std::is_same_v<RealOf<T>, float>)
        return head_passes(s.head_dim, std::is_same_v<T, Bf16>);
    else
        return nullptr;
}

// Queries and keys in w; row of the mask belongs to query 0.
template <class T, class Real>
void forward_head(const Context& ctx, const HeadPasses* passes, const Scratch<Real>& w,
                  Rows<const Real> v, const Dropout& dropout, Index row, Rows<T> out, Real* lse) {
    if constexpr (std::is_same_v<Real, float>)
        if (passes) return tiled_forward<T>(*passes, w, w.tiled(dropout, row), out, lse);
    generic_forward<T>(ctx, w.generic(v, dropout, row), out, lse);
}

// w.dk and w.dv += (several query heads may share them), w.dq overwritten: gradients of w.q and w.k
// as they lie there.
template <class T, class Real>
void backward_head(const Context& ctx, const HeadPasses* passes, const Scratch<Real>& w,
                   Rows<const Real> v, const Dropout& dropout, Index row, Rows<const T> out,
                   Rows<const Real> dout, const Real* lse) {
    if constexpr (std::is_same_v<Real, float>)
        if (passes) return tiled_backward<T>(*passes, w, w.tiled(dropout, row), out, lse);
    generic_backward<T>(ctx, w.generic(v, dropout, row), out, dout, lse, w.dq, w.dk, w.dv);
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
    const HeadPasses* passes = tiles<T>(s);
    for_groups(ctx, s, [&](Index b, Index kv) {
        const KeyGroup<const T> x(s, qkv, b, kv);
        const Scratch<RealOf<T>> w(s, work, passes);
        load_turned<T>(s, turn_k, x.k(), w.row, w.k);
        const auto v = load<T>(s, x.v(), w.v, passes);
        for (Index h = kv * group; h < (kv + 1) * group; ++h) {
            load_turned<T>(s, turn_q, x.q(h), w.row, w.q);
            const Index row = (b * s.heads + h) * s.context;
            const Rows<T> y{out.row(b * s.context) + h * s.head_dim, s.out_width()};
            forward_head<T>(ctx, passes, w, v, dropout, row, y, lse.data + row);
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
    const HeadPasses* passes = tiles<T>(s);
    for_groups(ctx, s, [&](Index b, Index kv) {
        const KeyGroup<const T> x(s, qkv, b, kv);
        const KeyGroup<T> dx(s, dqkv, b, kv);
        const Scratch<Real> w(s, work, passes);
        Real* dgain = work.dgain.data + (b * s.kv_heads + kv) * 2 * d;
        if (gain_q) std::fill(dgain, dgain + 2 * d, Real(0));
        std::fill(w.dk, w.dk + size, Real(0));
        std::fill(w.dv, w.dv + size, Real(0));
        load_turned<T>(s, turn_k, x.k(), w.row, w.k);
        const auto v = load<T>(s, x.v(), w.v, passes);
        for (Index h = kv * group; h < (kv + 1) * group; ++h) {
            const Index first = b * s.context, row = (b * s.heads + h) * s.context;
            load_turned<T>(s, turn_q, x.q(h), w.row, w.q);
            const auto dy = load<T>(s, {dout.row(first) + h * d, s.out_width()}, w.dout, passes);
            const Rows<const T> y{out.row(first) + h * d, s.out_width()};
            backward_head<T>(ctx, passes, w, v, dropout, row, y, dy, lse.data + row);
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
