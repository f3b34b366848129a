// Depth mix: the operations on rows of C channels that a mixer is made of (mixers/rule.h), for one
// token, whose rows lie anywhere in memory. What a decoder multiplies row by row is the same.
//
//     row_dots            out[a, r] = <x(a), y(r)>                          (A, C) (R, C)^T
//     mix_rows            out[o, :] (+)= sum_k w[o, k] x(k)                 (O, K) (K, C)
//     mix_rows_backward   dx[k, :] (+)= sum_o w[o, k] d(o)                  (K, O) (O, C)
//                         dw[o, k] = <x(k), d(o)>                           (O, C) (K, C)^T
//
// Tiles of sums stay in registers, 8 rows of y for the dots and 8 to 16 vectors of out for the mix,
// so that a number loaded is used up to 8 times: 4 and 7 fused multiply-adds of a register per ns
// (measured, C = 256), of 7.4 at most. Sums run in a fixed order. A library's matrix product of
// this size costs more to call than to compute.
//
// Bytes: x once for each 8 rows of y, out or d that it meets; y, out and d once for each tile of x.
// All of it is inline: these are steps of passes that do a whole site, token by token.
#pragma once

#include "core/simd.h"

namespace plumb {

// Rows `stride` numbers apart, as the operations ask for them: x(k) is where row k starts.
template <class T>
struct RowsAt {
    T* first;
    Index stride;
    T* operator()(Index k) const { return first + k * stride; }
};

// <x, y> over c numbers.
template <class X, class Y>
inline RealOf<X> row_dot(const X* x, const Y* y, Index c) {
    using Real = RealOf<X>;
    Vec<Real> sum[4] = {};
    constexpr Index kStrip = 4 * kVec<Real>;
    Index i = 0;
    for (; i + kStrip <= c; i += kStrip)
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k)
            sum[k] += load<Real>(x + i + k * kVec<Real>, Full<Real>{}) *
                      load<Real>(y + i + k * kVec<Real>, Full<Real>{});
    for_vecs<Real, false>(c - i, [&](Index j, auto size) {
        sum[0] += load<Real>(x + i + j, size) * load<Real>(y + i + j, size);
    });
    const Vec<Real> total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    return lane_sums<1, Real>(&total)[0];
}

// ---- tiles: what stays in registers -------------------------------------------------------------

namespace tiles {

// f(integral_constant k) for the k in 1..kMax.
template <int kMax, class F>
inline void with_count(Index k, F&& f) {
    [&]<int... i>(std::integer_sequence<int, i...>) {
        ((k == i + 1 && (f(std::integral_constant<int, i + 1>{}), true)) || ...);
    }
    (std::make_integer_sequence<int, kMax>{});
}

// out[r] = sum over the lanes of sum[r], r < n.
template <int n, class Real>
[[gnu::always_inline]] inline void store_sums(const Vec<Real>* sum, Real* out) {
    constexpr int now = std::min(n, kVec<Real>);
    store<Real>(lane_sums<now, Real>(sum), out, now);
    if constexpr (n > now) store_sums<n - now, Real>(sum + now, out + now);
}

struct Nothing {
    void operator()(int, Index) const {}
};

// out[a, r] = <x[a], y[r]>; also(r, j) when number j of y[r] is at work, to ask for what is next.
template <int n_x, int n_y, class X, class Y, class Real, class Also = Nothing>
inline void dots(const X* const* x, const Y* const* y, Index c, Real* out, Index out_stride,
                 const Also& also = {}) {
    Vec<Real> sum[n_x][n_y] = {};
    const auto add = [&](Index j, auto size) __attribute__((always_inline)) {
        Vec<Real> xj[n_x];
#pragma GCC unroll 4
        for (int a = 0; a < n_x; ++a) xj[a] = load<Real>(x[a] + j, size);
#pragma GCC unroll 8
        for (int r = 0; r < n_y; ++r) {
            const Vec<Real> yj = load<Real>(y[r] + j, size);
            also(r, j);
#pragma GCC unroll 4
            for (int a = 0; a < n_x; ++a) sum[a][r] += xj[a] * yj;
        }
    };
    if (c % kVec<Real> == 0)  // without the partial case the sums stay in registers
        for_vecs<Real, true>(c, add);
    else
        for_vecs<Real, false>(c, add);
    for (int a = 0; a < n_x; ++a) store_sums<n_y, Real>(sum[a], out + a * out_stride);
}

// n_vecs vectors of n_out rows of out, from number `channel` on.
template <int n_out, int n_vecs, class T, class Real, class Out, class RowAt, class Size>
inline void mix(Index n_rows, const RowAt& row, const Real* w, Index w_out, Index w_row,
                Index channel, Size size, Out* out, Index out_stride, bool add) {
    Vec<Real> sum[n_out][n_vecs];
    out += channel;
#pragma GCC unroll 8
    for (int o = 0; o < n_out; ++o)
#pragma GCC unroll 8
        for (int v = 0; v < n_vecs; ++v)
            sum[o][v] = add ? load<Real>(out + o * out_stride + v * kVec<Real>, size) : Vec<Real>{};
    for (Index k = 0; k < n_rows; ++k) {
        const T* x = row(k) + channel;
        Vec<Real> xv[n_vecs];
#pragma GCC unroll 8
        for (int v = 0; v < n_vecs; ++v) xv[v] = load<Real>(x + v * kVec<Real>, size);
#pragma GCC unroll 8
        for (int o = 0; o < n_out; ++o) {
            const Real weight = w[o * w_out + k * w_row];
#pragma GCC unroll 8
            for (int v = 0; v < n_vecs; ++v) sum[o][v] += weight * xv[v];
        }
    }
#pragma GCC unroll 8
    for (int o = 0; o < n_out; ++o)
#pragma GCC unroll 8
        for (int v = 0; v < n_vecs; ++v)
            store<Real>(sum[o][v], out + o * out_stride + v * kVec<Real>, size);
}

// All numbers of n_out rows of out: in strips of n_vecs vectors, what is left in narrower ones.
template <int n_out, int n_vecs, class T, class Real, class Out, class RowAt>
inline void mix_from(Index j, Index n_rows, const RowAt& row, const Real* w, Index w_out,
                     Index w_row, Index c, Out* out, Index out_stride, bool add) {
    constexpr Index kStrip = n_vecs * kVec<Real>;
    for (; j + kStrip <= c; j += kStrip)
        mix<n_out, n_vecs, T>(n_rows, row, w, w_out, w_row, j, Full<Real>{}, out, out_stride, add);
    if constexpr (n_vecs > 1)
        mix_from<n_out, n_vecs / 2, T>(j, n_rows, row, w, w_out, w_row, c, out, out_stride, add);
    else if (j < c)
        mix<n_out, 1, T>(n_rows, row, w, w_out, w_row, j, static_cast<int>(c - j), out, out_stride,
                         add);
}

// n_x rows of dx and of x, n_d of d: dx[k] (+)= sum_o w[o, k] d[o], dw[o, k] (+)= <x[k], d[o]>.
template <int n_x, int n_d, class X, class D, class Real>
inline void mix_backward(const X* const* x, const D* const* d, const Real* w, Index w_out,
                         Index w_row, Index c, Real* dx, Index dx_stride, bool add, Real* dw,
                         Index dw_out, Index dw_row) {
    Vec<Real> sum[n_x][n_d] = {};
    const auto step = [&](Index j, auto size) __attribute__((always_inline)) {
        Vec<Real> xk[n_x], out[n_x];
#pragma GCC unroll 2
        for (int k = 0; k < n_x; ++k) {
            xk[k] = load<Real>(x[k] + j, size);
            out[k] = add ? load<Real>(dx + k * dx_stride + j, size) : Vec<Real>{};
        }
#pragma GCC unroll 8
        for (int o = 0; o < n_d; ++o) {
            const Vec<Real> in = load<Real>(d[o] + j, size);
#pragma GCC unroll 2
            for (int k = 0; k < n_x; ++k) {
                out[k] += w[o * w_out + k * w_row] * in;
                sum[k][o] += xk[k] * in;
            }
        }
#pragma GCC unroll 2
        for (int k = 0; k < n_x; ++k) store<Real>(out[k], dx + k * dx_stride + j, size);
    };
    if (c % kVec<Real> == 0)
        for_vecs<Real, true>(c, step);
    else
        for_vecs<Real, false>(c, step);
    Real sums[n_d];
    for (int k = 0; k < n_x; ++k) {
        store_sums<n_d, Real>(sum[k], sums);
        for (int o = 0; o < n_d; ++o) dw[o * dw_out + k * dw_row] = sums[o];
    }
}

}  // namespace tiles

// ---- the operations -----------------------------------------------------------------------------

// out[a * out_stride + r] = <x(a), y(r)>, a < n_x, r < n_y; x(a) is a const X* to c numbers, y(r) a
// const Y*. Overwrites.
template <class X, class Y, class RowX, class RowY>
inline void row_dots(Index n_x, const RowX& x, Index n_y, const RowY& y, Index c, RealOf<X>* out,
                     Index out_stride) {
    for (Index r = 0; r < n_y; r += 8)
        tiles::with_count<8>(std::min<Index>(8, n_y - r), [&](auto count) {
            const Y* ys[count];
            for (int k = 0; k < count; ++k) ys[k] = y(r + k);
            for (Index a = 0; a < n_x; a += 2) {
                const X* const xs[2] = {x(a), x(std::min(a + 1, n_x - 1))};
                RealOf<X>* sums = out + a * out_stride + r;
                if (a + 1 < n_x)
                    tiles::dots<2, count>(xs, ys, c, sums, out_stride);
                else
                    tiles::dots<1, count>(xs, ys, c, sums, out_stride);
            }
        });
}

// out[j] = sum_{k < n_rows} w[k] row(k)[j], j < c. row(k) is a const T*; out is T or Real.
template <class T, class RowAt, class Out>
inline void mix_row(Index n_rows, const RowAt& row, const RealOf<T>* w, Index c, Out* out) {
    tiles::mix_from<1, 8, T>(0, n_rows, row, w, 0, 1, c, out, 0, false);
}

// out[o * out_stride + j] = sum_{k < n_rows} w[o * w_out + k * w_row] row(k)[j], o < n_out, j < c;
// `add` adds to out. row(k) is a const T*; out is T or Real.
template <class T, class RowAt, class Out>
inline void mix_rows(Index n_out, Index n_rows, const RowAt& row, const RealOf<T>* w, Index w_out,
                     Index w_row, Index c, Out* out, Index out_stride, bool add = false) {
    for (Index o = 0; o < n_out; o += 8)
        tiles::with_count<8>(std::min<Index>(8, n_out - o), [&](auto count) {
            constexpr int n_vecs = count <= 2 ? 8 : count <= 4 ? 4 : 2;
            tiles::mix_from<count, n_vecs, T>(0, n_rows, row, w + o * w_out, w_out, w_row, c,
                                              out + o * out_stride, out_stride, add);
        });
}

// The gradients of mix_rows in one pass over the rows, where out's are n_out rows d(o) of c
// numbers of type D: dx (rows dx_stride apart) is overwritten, or added to; dw, with strides like
// w's, is overwritten.
template <class X, class D, class RowX, class RowD>
inline void mix_rows_backward(Index n_out, const RowD& d, Index n_rows, const RowX& x,
                              const RealOf<X>* w, Index w_out, Index w_row, Index c, RealOf<X>* dx,
                              Index dx_stride, bool add, RealOf<X>* dw, Index dw_out,
                              Index dw_row) {
    for (Index o = 0; o < n_out; o += 8)
        tiles::with_count<8>(std::min<Index>(8, n_out - o), [&](auto count) {
            const D* ds[count];
            for (int i = 0; i < count; ++i) ds[i] = d(o + i);
            const auto step = [&](Index k, auto n_x) {
                const X* xs[n_x];
                for (int i = 0; i < n_x; ++i) xs[i] = x(k + i);
                tiles::mix_backward<n_x, count>(xs, ds, w + o * w_out + k * w_row, w_out, w_row, c,
                                                dx + k * dx_stride, dx_stride, add || o > 0,
                                                dw + o * dw_out + k * dw_row, dw_out, dw_row);
            };
            Index k = 0;
            for (; k + 2 <= n_rows; k += 2) step(k, std::integral_constant<int, 2>{});
            if (k < n_rows) step(k, std::integral_constant<int, 1>{});
        });
}

}  // namespace plumb
