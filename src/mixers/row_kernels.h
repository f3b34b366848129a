// Small matrix products over rows of C numbers in L1: what attention over depth does with one
// token's sources, which lie anywhere in memory.
//
//     row_dots   out[a, r] = <x(a), y(r)>                   (A, C) (R, C)^T
//     mix_rows   out[o, :] (+)= sum_k w[o, k] x(k)          (O, K) (K, C)
//
// Tiles of sums stay in registers, 8 rows of y for the dots and 8 to 16 vectors of out for the mix,
// so that a number loaded is used up to 8 times: 4 and 7 fused multiply-adds of a register per ns
// (measured, C = 256), of 7.4 at most. Sums run in a fixed order. A library's matrix product of
// this size costs more to call than to compute.
#pragma once

#include "mixers/vec.h"

namespace plumb {

// to[j] = from[j], between storage type and Real.
template <class From, class To>
inline void copy_row(const From* from, To* to, Index c) {
    using Real = RealOf<From>;
    for_vecs<Real, false>(
        c, [&](Index j, auto size) { store<Real>(load<Real>(from + j, size), to + j, size); });
}

// Asks for the cache lines of c numbers, to read or to write them: the rows of one token lie in
// more places than the hardware follows. Always inline: GCC drops calls to functions that only
// prefetch.
template <class T>
[[gnu::always_inline]] inline void prefetch_read(const T* row, Index c) {
    for (Index j = 0; j < c; j += kLineBytes / static_cast<Index>(sizeof(T)))
        __builtin_prefetch(row + j, 0);
}
template <class T>
[[gnu::always_inline]] inline void prefetch_write(T* row, Index c) {
    for (Index j = 0; j < c; j += kLineBytes / static_cast<Index>(sizeof(T)))
        __builtin_prefetch(row + j, 1);
}

// As copy_row, past the caches: for what is read again only after many other rows. The stores are
// ordered before those of other threads by end_stream().
template <class From, class To>
inline void stream_row(const From* from, To* to, Index c) {
    using Real = RealOf<From>;
    if (c % kVec<Real> != 0 || !stream_aligned<Real>(to)) return copy_row(from, to, c);
    for (Index j = 0; j < c; j += kVec<Real>) stream(load<Real>(from + j, Full<Real>{}), to + j);
}

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

namespace row_kernels {

// f(integral_constant k) for the k in 1..kMax.
template <int kMax, class F>
inline void with_count(Index k, F&& f) {
    [&]<int... i>(std::integer_sequence<int, i...>) {
        ((k == i + 1 && (f(std::integral_constant<int, i + 1>{}), true)) || ...);
    }
    (std::make_integer_sequence<int, kMax>{});
}

template <int n_x, int n_y, class X, class Y, class Real>
inline void dots_tile(const X* const* x, const Y* const* y, Index c, Real* out, Index out_stride) {
    Vec<Real> sum[n_x][n_y] = {};
    const auto add = [&](Index j, auto size) __attribute__((always_inline)) {
        Vec<Real> xj[n_x];
#pragma GCC unroll 2
        for (int a = 0; a < n_x; ++a) xj[a] = load<Real>(x[a] + j, size);
#pragma GCC unroll 8
        for (int r = 0; r < n_y; ++r) {
            const Vec<Real> yj = load<Real>(y[r] + j, size);
#pragma GCC unroll 2
            for (int a = 0; a < n_x; ++a) sum[a][r] += xj[a] * yj;
        }
    };
    if (c % kVec<Real> == 0)
        for_vecs<Real, true>(c, add);
    else
        for_vecs<Real, false>(c, add);
    constexpr int n = std::min(n_y, kVec<Real>);
    for (int a = 0; a < n_x; ++a)
        for (int r = 0; r < n_y; r += n)
            store<Real>(lane_sums<n, Real>(sum[a] + r), out + a * out_stride + r, n);
}

template <int n_out, int n_vecs, class T, class Real, class RowAt, class Size>
inline void mix_tile(Index n_rows, const RowAt& row, const Real* w, Index w_out, Index w_row,
                     Index channel, Size size, Real* out, Index out_stride, bool add) {
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

template <int n_out, class T, class Real, class RowAt>
inline void mix_strip(Index n_rows, const RowAt& row, const Real* w, Index w_out, Index w_row,
                      Index c, Real* out, Index out_stride, bool add) {
    constexpr int n_vecs = n_out <= 2 ? 8 : n_out <= 4 ? 4 : 2;
    constexpr Index kStrip = n_vecs * kVec<Real>;
    Index j = 0;
    for (; j + kStrip <= c; j += kStrip)
        mix_tile<n_out, n_vecs, T>(n_rows, row, w, w_out, w_row, j, Full<Real>{}, out, out_stride,
                                   add);
    for (; j + kVec<Real> <= c; j += kVec<Real>)
        mix_tile<n_out, 1, T>(n_rows, row, w, w_out, w_row, j, Full<Real>{}, out, out_stride, add);
    if (j < c)
        mix_tile<n_out, 1, T>(n_rows, row, w, w_out, w_row, j, static_cast<int>(c - j), out,
                              out_stride, add);
}

}  // namespace row_kernels

// out[a * out_stride + r] = <x(a), y(r)>, a < n_x, r < n_y; x(a) is a const X* to c numbers, y(r) a
// const Y*. Overwrites.
template <class X, class Y, class RowX, class RowY>
inline void row_dots(Index n_x, const RowX& x, Index n_y, const RowY& y, Index c, RealOf<X>* out,
                     Index out_stride) {
    for (Index r = 0; r < n_y; r += 8)
        row_kernels::with_count<8>(std::min<Index>(8, n_y - r), [&](auto count) {
            const Y* ys[count];
            for (int k = 0; k < count; ++k) ys[k] = y(r + k);
            for (Index a = 0; a < n_x; a += 2) {
                const X* const xs[2] = {x(a), x(std::min(a + 1, n_x - 1))};
                RealOf<X>* sums = out + a * out_stride + r;
                if (a + 1 < n_x)
                    row_kernels::dots_tile<2, count>(xs, ys, c, sums, out_stride);
                else
                    row_kernels::dots_tile<1, count>(xs, ys, c, sums, out_stride);
            }
        });
}

// out[o * out_stride + j] = sum_{k < n_rows} w[o * w_out + k * w_row] row(k)[j], o < n_out, j < c;
// `add` adds to out. row(k) is a const T*.
template <class T, class RowAt>
inline void mix_rows(Index n_out, Index n_rows, const RowAt& row, const RealOf<T>* w, Index w_out,
                     Index w_row, Index c, RealOf<T>* out, Index out_stride, bool add = false) {
    for (Index o = 0; o < n_out; o += 8)
        row_kernels::with_count<8>(std::min<Index>(8, n_out - o), [&](auto count) {
            row_kernels::mix_strip<count, T>(n_rows, row, w + o * w_out, w_out, w_row, c,
                                             out + o * out_stride, out_stride, add);
        });
}

}  // namespace plumb
