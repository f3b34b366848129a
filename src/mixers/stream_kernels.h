// Kernels of the mixers with K streams (stream_mixer.h), over one tile of up to kTile tokens.
// x, dx (tokens, K, C), v, d, h, dv (tokens, C) row-major. Numbers per token that are not channels
// (coefficients, logits, their gradients) lie lane by lane: number i of the tile's token t is
// a[i * kTile + t], so that arithmetic on them runs over tokens.
//
// K is a template argument so that running sums stay in registers: K = 4 is for 4 streams of full
// Vecs of channels, K = 0 for any number of both.
#pragma once

#include "core/simd.h"

namespace plumb {

inline constexpr int kMaxStreams = 8;
inline constexpr int kTile = 16;  // tokens; divides kTokenChunk

// f(std::integral_constant<int, K>{}) with the K for these streams.
template <class Real, class F>
void with_streams(int streams, Index c, F&& f) {
    if (streams == 4 && c % kVec<Real> == 0)
        f(std::integral_constant<int, 4>{});
    else
        f(std::integral_constant<int, 0>{});
}

// out[k] = sum_s res[s,k] x[s] + post[k] v, for one token; post and res point at its lane.
template <int K, class Real, class T>
void mix_streams(int streams, Index c, const T* x, const T* v, const Real* post, const Real* res,
                 T* out) {
    constexpr int kMax = K ? K : kMaxStreams;
    const int k_streams = K ? K : streams;
    Vec<Real> r[kMax * kMax], p[kMax];
    for (int i = 0; i < k_streams * k_streams; ++i) r[i] = Vec<Real>{} + res[i * kTile];
    for (int k = 0; k < k_streams; ++k) p[k] = Vec<Real>{} + post[k * kTile];
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            const Vec<Real> value = load<Real>(v + i, size);
            Vec<Real> sum[kMax];
            for (int k = 0; k < k_streams; ++k) sum[k] = p[k] * value;
            for (int s = 0; s < k_streams; ++s) {
                const Vec<Real> in = load<Real>(x + s * c + i, size);
                for (int k = 0; k < k_streams; ++k) sum[k] += r[s * k_streams + k] * in;
            }
            for (int k = 0; k < k_streams; ++k) store<Real>(sum[k], out + k * c + i, size);
        });
}

// h = sum_s pre[s] x[s], for one token; pre points at its lane.
template <int K, class Real, class T>
void read_streams(int streams, Index c, const T* x, const Real* pre, Real* h) {
    const int k_streams = K ? K : streams;
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            Vec<Real> sum{};
            for (int s = 0; s < k_streams; ++s)
                sum += pre[s * kTile] * load<Real>(x + s * c + i, size);
            store<Real>(sum, h + i, size);
        });
}

// <x, d> over c numbers.
template <int K, class Real, class T>
Real dot_vecs(const T* x, const Real* d, Index c) {
    Vec<Real> sum{};
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            sum += load<Real>(x + i, size) * load<Real>(d + i, size);
        });
    return lane_sums<1, Real>(&sum)[0];
}

// The sum of c numbers.
template <int K, class Real>
Real total(const Real* x, Index c) {
    Vec<Real> sum{};
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size)
               __attribute__((always_inline)) { sum += load<Real>(x + i, size); });
    return lane_sums<1, Real>(&sum)[0];
}

// <x, x> over c numbers.
template <int K, class Real, class T>
Real square_sum(const T* x, Index c) {
    Vec<Real> sum{};
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            const Vec<Real> v = load<Real>(x + i, size);
            sum += v * v;
        });
    return lane_sums<1, Real>(&sum)[0];
}

// Mean and variance of c numbers.
template <int K, class Real, class T>
std::pair<Real, Real> moments(const T* x, Index c) {
    Vec<Real> sum{}, square{};
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size)
               __attribute__((always_inline)) { sum += load<Real>(x + i, size); });
    const Real mean = lane_sums<1, Real>(&sum)[0] / static_cast<Real>(c);
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            Vec<Real> v = load<Real>(x + i, size) - mean;
            for (int lane = size; lane < kVec<Real>; ++lane) v[lane] = 0;
            square += v * v;
        });
    return {mean, lane_sums<1, Real>(&square)[0] / static_cast<Real>(c)};
}

// Gradients of a token's coefficients, to its lane of dcoef [pre | post | res]: dpre[s] = <x[s],
// d>, dpost[k] = <v, dx[k]>, dres[s,k] = <x[s], dx[k]>; dx: of the streams after the site.
template <int K, class Real, class T>
void coefficient_gradients(int streams, Index c, const T* x, const T* v, const Real* d,
                           const Real* dx, Real* dcoef) {
    constexpr int kMax = K ? K : kMaxStreams, kSums = kMax * (kMax + 2);
    const int k_streams = K ? K : streams;
    Vec<Real> sums[kSums]{};
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            const Vec<Real> read = load<Real>(d + i, size), value = load<Real>(v + i, size);
            Vec<Real> out[kMax];
            for (int k = 0; k < k_streams; ++k) {
                out[k] = load<Real>(dx + k * c + i, size);
                sums[k_streams + k] += value * out[k];
            }
            for (int s = 0; s < k_streams; ++s) {
                const Vec<Real> in = load<Real>(x + s * c + i, size);
                sums[s] += in * read;
                for (int k = 0; k < k_streams; ++k) sums[(s + 2) * k_streams + k] += in * out[k];
            }
        });
    constexpr int kGroup = std::min(8, kVec<Real>);
    static_assert(kMaxStreams * (kMaxStreams + 2) % kGroup == 0);
#pragma GCC unroll 6
    for (int i = 0; i < k_streams * (k_streams + 2); i += kGroup) {
        const Vec<Real> group = lane_sums<kGroup, Real>(sums + i);
        for (int j = 0; j < std::min(kGroup, k_streams * (k_streams + 2) - i); ++j)
            dcoef[(i + j) * kTile] = group[j];
    }
}

// u[i * kTile + t] = <w[i], x row t>, i < m, t < n; x rows and w rows have c numbers. Meanwhile the
// next tile of x and of `before`, which is laid out as x, comes nearer (null: not).
template <int K, class Real, class T>
void project(int n, Index c, const T* x, const T* before, Index ldx, int m, const Real* const* w,
             Real* u) {
    constexpr int kRows = 4;  // of x and of w: 16 running sums
    for (int i = 0; i < m; i += kRows) {
        const Real* weight[kRows];
        for (int b = 0; b < kRows; ++b) weight[b] = w[std::min(i + b, m - 1)];
        const T* next = i == 0 ? before : x;
        for (int t = 0; t < n; t += kRows) {
            const T* in[kRows];
            for (int a = 0; a < kRows; ++a) in[a] = x + std::min(t + a, n - 1) * ldx;
            Vec<Real> sums[kRows * kRows]{};
            for_vecs<Real, K != 0>(
                c, [&](Index j, auto size) __attribute__((always_inline)) {
                    Vec<Real> right[kRows];
                    for (int b = 0; b < kRows; ++b) right[b] = load<Real>(weight[b] + j, size);
                    for (int a = 0; a < kRows; ++a) {
                        if (before && i <= kRows)
                            __builtin_prefetch(next + (kTile + t + a) * ldx + j, 0, 2);
                        const Vec<Real> left = in_register(load<Real>(in[a] + j, size));
                        for (int b = 0; b < kRows; ++b) sums[b * kRows + a] += left * right[b];
                    }
                });
            Real out[kRows * kRows];
            for (int k = 0; k < kRows * kRows; k += kVec<Real>)
                store<Real>(lane_sums<kVec<Real>, Real>(sums + k), out + k, Full<Real>{});
            for (int b = 0; b < std::min(kRows, m - i); ++b)
                for (int a = 0; a < std::min(kRows, n - t); ++a)
                    u[(i + b) * kTile + t + a] = out[b * kRows + a];
        }
    }
}

// ---- backward -----------------------------------------------------------------------------------

// Weights (m rows of c numbers) with the numbers of one Vec of all rows side by side:
// packed[(v * m + i) * kVec + lane], the last Vec filled up with zeros.
template <class Real>
Index packed_vecs(Index c) {
    return (c + kVec<Real> - 1) / kVec<Real>;
}
template <class Real>
void pack_weights(Index c, int m, const Real* const* w, Real* packed) {
    for (Index v = 0; v < packed_vecs<Real>(c); ++v)
        for (int i = 0; i < m; ++i)
            for (int lane = 0; lane < kVec<Real>; ++lane) {
                const Index j = v * kVec<Real> + lane;
                packed[(v * m + i) * kVec<Real> + lane] = j < c ? w[i][j] : Real(0);
            }
}

// One tile of one site, backward; null pointers: not there.
template <class Real, class T>
struct SiteGradient {
    int streams;
    Index c;
    const T* x;               // streams of the site
    const Real* d;            // D_l
    Real* dx;                 // in: of the streams after the site; out: of the streams at the site
    bool last;                // there are none after it: dx is only written
    const Real *pre, *res;    // coefficients of the site
    const Real* post_before;  // of the site before; null: ones
    T* dv;                    // dLoss/dv before the site
    int m;                    // numbers x was projected on: each stream on m of its own weights ...
    bool shared;              // ... or all streams on the same, giving K * m numbers
    const Real* du;           // (m or K * m, kTile) their gradients
    const Real* packed;       // per stream or shared
    const Real *a, *b;        // (K, kTile) dx[s] += a[s] x[s] + b[s]; not set where m = 0
};

// dx[s] <- sum_k res[s,k] dx[k] + pre[s] d + a[s] x[s] + b[s] + sum_i du[i] w[i], then dv = sum_k
// post_before[k] dx[k]: numbers [i, i + size) of tokens t..t+G-1.
template <int K, bool shared, int G, class Real, class T, class Size>
[[gnu::always_inline]] inline void stream_gradient(const SiteGradient<Real, T>& g, int t, Index i,
                                                   Size size) {
    constexpr int kMax = K ? K : kMaxStreams, kWidth = kVec<Real>;
    const int n_k = K ? K : g.streams;
    Vec<Real> sum[G][kMax]{};
    const Index vecs = packed_vecs<Real>(g.c);
    const Real* w = g.packed + i * g.m;
    for (int row = 0; row < g.m; ++row, w += kWidth)
        for (int s = 0; s < n_k; ++s) {
            const Vec<Real> weight =
                load<Real>(w + (shared ? 0 : s * vecs * g.m * kWidth), Full<Real>{});
            for (int q = 0; q < G; ++q)
                sum[q][s] += weight * g.du[((shared ? s * g.m : 0) + row) * kTile + t + q];
        }
    for (int q = 0; q < G; ++q) {
        const Index token = t + q;
        const Vec<Real> d = load<Real>(g.d + token * g.c + i, size);
        Real* dx = g.dx + token * n_k * g.c + i;
        for (int s = 0; s < n_k; ++s) {
            __builtin_prefetch(g.x + ((token + kTile) * n_k + s) * g.c + i, 0, 2);
            if (!g.last) __builtin_prefetch(dx + (kTile * n_k + s) * g.c, 1, 2);
            sum[q][s] += g.pre[s * kTile + token] * d;
            if (g.m == 0) continue;
            const Vec<Real> x = load<Real>(g.x + (token * n_k + s) * g.c + i, size);
            sum[q][s] += g.a[s * kTile + token] * x + g.b[s * kTile + token];
        }
        if (!g.last)
            for (int k = 0; k < n_k; ++k) {
                const Vec<Real> out = load<Real>(dx + k * g.c, size);
                for (int s = 0; s < n_k; ++s)
                    sum[q][s] += g.res[(s * n_k + k) * kTile + token] * out;
            }
        Vec<Real> dv{};
        for (int k = 0; k < n_k; ++k) {
            store<Real>(sum[q][k], dx + k * g.c, size);
            dv += g.post_before ? g.post_before[k * kTile + token] * sum[q][k] : sum[q][k];
        }
        store<Real>(dv, g.dv + token * g.c + i, size);
    }
}

// The above for all numbers of n tokens, in blocks whose weights stay in the first-level cache. The
// next tile's x and dx come nearer meanwhile.
template <int K, bool shared, class Real, class T>
void stream_gradients(const SiteGradient<Real, T>& g, int n) {
    constexpr int kGroup = K ? 4 : 1;
    constexpr Index kBlock = 4 * kVec<Real>;
    for (Index begin = 0; begin < g.c; begin += kBlock) {
        const Index c = std::min(kBlock, g.c - begin);
        int t = 0;
        for (; t + kGroup <= n; t += kGroup)
            for_vecs<Real, K != 0>(
                c, [&](Index i, auto size) __attribute__((always_inline)) {
                    stream_gradient<K, shared, kGroup>(g, t, begin + i, size);
                });
        for (; t < n; ++t)
            for_vecs<Real, K != 0>(
                c, [&](Index i, auto size) __attribute__((always_inline)) {
                    stream_gradient<K, shared, 1>(g, t, begin + i, size);
                });
    }
}

// dw[i] = sum over n tokens and `rows` rows of each of du[i] x (overwrites), i < m: rows have c
// numbers and lie side by side, tokens ldx apart. du (tiles, rows * m, kTile), dw packed as
// weights.
template <int K, class Real, class T>
void weight_gradient(int n, int rows, Index c, const T* x, Index ldx, int m, const Real* du,
                     Real* dw) {
    constexpr int kRows = 6, kVecs = 4, kWidth = kVec<Real>;
    const auto block = [&](Index v, int i, auto n_vecs, auto size) __attribute__((always_inline)) {
        Vec<Real> sums[kRows][n_vecs]{};
        for (int t = 0; t < n; ++t)
            for (int r = 0; r < rows; ++r) {
                Vec<Real> in[n_vecs];
                for (int b = 0; b < n_vecs; ++b)
                    in[b] = load<Real>(x + t * ldx + r * c + (v + b) * kWidth, size);
                const Real* grad = du + ((t / kTile * rows + r) * m) * kTile + t % kTile;
                for (int a = 0; a < kRows; ++a) {
                    const Real factor = grad[std::min(i + a, m - 1) * kTile];
                    for (int b = 0; b < n_vecs; ++b) sums[a][b] += factor * in[b];
                }
            }
        for (int a = 0; a < kRows; ++a)
            for (int b = 0; b < n_vecs; ++b)
                if (i + a < m)
                    store<Real>(sums[a][b], dw + ((v + b) * m + i + a) * kWidth, Full<Real>{});
    };
    for (Index v = 0; v * kWidth < c;) {
        const bool wide = (v + kVecs) * kWidth <= c, full = (v + 1) * kWidth <= c;
        for (int i = 0; i < m; i += kRows)
            if (wide)
                block(v, i, std::integral_constant<int, kVecs>{}, Full<Real>{});
            else if (full)
                block(v, i, std::integral_constant<int, 1>{}, Full<Real>{});
            else if constexpr (K == 0)
                block(v, i, std::integral_constant<int, 1>{}, static_cast<int>(c - v * kWidth));
        v += wide ? kVecs : 1;
    }
}

}  // namespace plumb
