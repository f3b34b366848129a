// Kernels of the memory of K streams (streams.h), over one tile of up to kTile tokens. x, dx
// (tokens, K, C), v, d, h, dv (tokens, C) row-major. A token's scalars, c (K) and A (K, K+1), and
// its dots lie lane by lane (lanes.h): pointers to them point at a token's lane, or at a tile's.
//
// K is a template argument so that running sums stay in registers: K = 4 is for 4 streams of full
// Vecs of channels, K = 0 for any number of both.
#pragma once

#include "mixers/lanes.h"
#include "mixers/memories/stream_dots.h"
#include "ops/depth_mix.h"

namespace plumb {

// f(std::integral_constant<int, K>{}) with the K for these streams.
template <class Real, class F>
void with_streams(int streams, Index c, F&& f) {
    if (streams == 4 && c % kVec<Real> == 0)
        f(std::integral_constant<int, 4>{});
    else
        f(std::integral_constant<int, 0>{});
}

// out = A [x; v], for one token.
template <int K, class Real, class T>
void write_streams(int streams, Index c, const T* x, const T* v, const Real* a, T* out) {
    constexpr int kMax = K ? K : kMaxStreams;
    const int n = K ? K : streams;
    Vec<Real> weight[kMax][kMax + 1];
    for (int k = 0; k < n; ++k)
        for (int s = 0; s <= n; ++s) weight[k][s] = Vec<Real>{} + a[(k * (n + 1) + s) * kTile];
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            const Vec<Real> value = load<Real>(v + i, size);
            Vec<Real> sum[kMax];
            for (int k = 0; k < n; ++k) sum[k] = weight[k][n] * value;
            for (int s = 0; s < n; ++s) {
                const Vec<Real> in = load<Real>(x + s * c + i, size);
                for (int k = 0; k < n; ++k) sum[k] += weight[k][s] * in;
            }
            for (int k = 0; k < n; ++k) store<Real>(sum[k], out + k * c + i, size);
        });
}

// h = read x, for one token.
template <int K, class Real, class T>
void read_streams(int streams, Index c, const T* x, const Real* read, Real* h) {
    const int n = K ? K : streams;
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            Vec<Real> sum{};
            for (int s = 0; s < n; ++s) sum += read[s * kTile] * load<Real>(x + s * c + i, size);
            store<Real>(sum, h + i, size);
        });
}

// The sums over the lanes of n vectors, to out[i * stride].
template <int kMost, class Real>
[[gnu::always_inline]] inline void store_sums(int n, const Vec<Real>* sums, Real* out,
                                              Index stride) {
    constexpr int kGroup = std::min(8, kVec<Real>);
    static_assert(kMost % kGroup == 0);
#pragma GCC unroll 10
    for (int i = 0; i < n; i += kGroup) {
        const Vec<Real> group = lane_sums<kGroup, Real>(sums + i);
        for (int j = 0; j < std::min(kGroup, n - i); ++j) out[(i + j) * stride] = group[j];
    }
}

// <x[s], 1> and <x[s], x[s]> of one token: moments (K, 2).
template <int K, class Real, class T>
void stream_moments(int streams, Index c, const T* x, Real* moments) {
    constexpr int kSums = 2 * (K ? K : kMaxStreams);
    const int n = K ? K : streams;
    Vec<Real> sums[kSums]{};
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            for (int s = 0; s < n; ++s) {
                const Vec<Real> in = load<Real>(x + s * c + i, size);
                sums[2 * s] += in;
                sums[2 * s + 1] += in * in;
            }
        });
    store_sums<kSums>(2 * n, sums, moments, 1);
}

// Gradients of a token's c and A: <d, x[s]>, <dx[k], x[s]>, <dx[k], v>; dx: of the streams
// after the site.
template <int K, class Real, class T>
void scalar_gradients(int streams, Index c, const T* x, const T* v, const Real* d, const Real* dx,
                      Real* dscalars) {
    constexpr int kMax = K ? K : kMaxStreams, kSums = kMax * (kMax + 2);
    const int n = K ? K : streams;
    Vec<Real> sums[kSums]{};
    for_vecs<Real, K != 0>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            const Vec<Real> read = load<Real>(d + i, size), value = load<Real>(v + i, size);
            Vec<Real> out[kMax];
            for (int k = 0; k < n; ++k) {
                out[k] = load<Real>(dx + k * c + i, size);
                sums[n + k * (n + 1) + n] += value * out[k];
            }
            for (int s = 0; s < n; ++s) {
                const Vec<Real> in = load<Real>(x + s * c + i, size);
                sums[s] += in * read;
                for (int k = 0; k < n; ++k) sums[n + k * (n + 1) + s] += in * out[k];
            }
        });
    store_sums<kSums>(n * (n + 2), sums, dscalars, kTile);
}

// u[i * kTile + t] = <w[i], x row t>, i < m, t < n; x rows and w rows have c numbers. Meanwhile
// the next tile of x and of `before`, which is laid out as x, comes nearer (null: not).
template <int K, class Real, class T>
void project(int n, Index c, const T* x, const T* before, Index ldx, int m, const Real* const* w,
             Real* u) {
    constexpr int kRows = 4, kVectors = kRegisters == 32 ? 4 : 3;  // 16 or 12 running sums
    for (int i = 0; i < m; i += kVectors) {
        const Real* weight[kVectors];
        for (int b = 0; b < kVectors; ++b) weight[b] = w[std::min(i + b, m - 1)];
        const T* next = i == 0 ? before : x;
        for (int t = 0; t < n; t += kRows) {
            const T* in[kRows];
            for (int a = 0; a < kRows; ++a) in[a] = x + std::min(t + a, n - 1) * ldx;
            Vec<Real> sums[kVectors * kRows]{};
            for_vecs<Real, K != 0>(
                c, [&](Index j, auto size) __attribute__((always_inline)) {
                    Vec<Real> right[kVectors];
                    for (int b = 0; b < kVectors; ++b) right[b] = load<Real>(weight[b] + j, size);
                    for (int a = 0; a < kRows; ++a) {
                        if (before && i <= kVectors)
                            __builtin_prefetch(next + (kTile + t + a) * ldx + j, 0, 2);
                        const Vec<Real> left = in_register(load<Real>(in[a] + j, size));
                        for (int b = 0; b < kVectors; ++b) sums[b * kRows + a] += left * right[b];
                    }
                });
            Real out[kVectors * kRows];
            tiles::store_sums<kVectors * kRows, Real>(sums, out);
            for (int b = 0; b < std::min(kVectors, m - i); ++b)
                for (int a = 0; a < std::min(kRows, n - t); ++a)
                    u[(i + b) * kTile + t + a] = out[b * kRows + a];
        }
    }
}

// ---- backward -----------------------------------------------------------------------------------

// Weights (c numbers from w[i] + first, i < m) with the numbers of one Vec of all rows side by
// side: packed[(v * m + i) * kVec + lane], the last Vec filled up with zeros.
template <class Real>
Index packed_vecs(Index c) {
    return (c + kVec<Real> - 1) / kVec<Real>;
}
template <class Real>
void pack_weights(Index c, int m, const Real* const* w, Index first, Real* packed) {
    for (Index v = 0; v < packed_vecs<Real>(c); ++v)
        for (int i = 0; i < m; ++i)
            for (int lane = 0; lane < kVec<Real>; ++lane) {
                const Index j = v * kVec<Real> + lane;
                packed[(v * m + i) * kVec<Real> + lane] = j < c ? w[i][first + j] : Real(0);
            }
}

// One tile of one site, backward; null pointers: not there.
template <class Real, class T>
struct SiteGradient {
    int streams;
    Index c;
    const T* x;                 // streams of the site
    const Real* d;              // D_l
    Real* dx;                   // in: of the streams after the site; out: at the site
    bool last;                  // there are none after it: dx is only written
    const Real *read, *write;   // c and A of the site
    const Real* write_before;   // A of the site before; null: copies
    T* dv;                      // dLoss/dv before the site
    int m;                      // vectors x was projected on
    const Real* du;             // gradients of the dots; of the projections of stream s ...
    const int* projection;      // ... from number projection[s] on
    const Real* packed;         // the vectors, per stream or shared
    const Real *along, *level;  // (K, kTile) dx[s] += along[s] x[s] + level[s]
};

// dx[s] <- sum_k A[k,s] dx[k] + c[s] d + along[s] x[s] + level[s] + sum_i du[s,i] w[i], then
// dv = sum_k A_before[k,K] dx[k]: numbers [i, i + size) of tokens t..t+G-1. `shared`: the
// streams are projected on the same vectors, each giving numbers of its own.
template <int K, bool shared, int G, class Real, class T, class Size>
[[gnu::always_inline]] inline void stream_gradient(const SiteGradient<Real, T>& g, int t, Index i,
                                                   Size size) {
    constexpr int kMax = K ? K : kMaxStreams, kWidth = kVec<Real>;
    const int n = K ? K : g.streams;
    Vec<Real> sum[G][kMax]{};
    const Index vecs = packed_vecs<Real>(g.c);
    const Real* w = g.packed + i * g.m;
    for (int row = 0; row < g.m; ++row, w += kWidth)
        for (int s = 0; s < n; ++s) {
            const Vec<Real> weight =
                load<Real>(w + (shared ? 0 : s * vecs * g.m * kWidth), Full<Real>{});
            const Real* du = g.du + (g.projection[shared ? s : 0] + row) * kTile + t;
            for (int q = 0; q < G; ++q) sum[q][s] += weight * du[q];
        }
    for (int q = 0; q < G; ++q) {
        const Index token = t + q;
        const Vec<Real> d = load<Real>(g.d + token * g.c + i, size);
        Real* dx = g.dx + token * n * g.c + i;
        for (int s = 0; s < n; ++s) {
            __builtin_prefetch(g.x + ((token + kTile) * n + s) * g.c + i, 0, 2);
            if (!g.last) __builtin_prefetch(dx + (kTile * n + s) * g.c, 1, 2);
            sum[q][s] += g.read[s * kTile + token] * d;
            if (g.m == 0) continue;
            const Vec<Real> x = load<Real>(g.x + (token * n + s) * g.c + i, size);
            sum[q][s] += g.along[s * kTile + token] * x + g.level[s * kTile + token];
        }
        if (!g.last)
            for (int k = 0; k < n; ++k) {
                const Vec<Real> out = load<Real>(dx + k * g.c, size);
                for (int s = 0; s < n; ++s)
                    sum[q][s] += g.write[(k * (n + 1) + s) * kTile + token] * out;
            }
        Vec<Real> dv{};
        for (int k = 0; k < n; ++k) {
            store<Real>(sum[q][k], dx + k * g.c, size);
            dv += g.write_before ? g.write_before[(k * (n + 1) + n) * kTile + token] * sum[q][k]
                                 : sum[q][k];
        }
        store<Real>(dv, g.dv + token * g.c + i, size);
    }
}

// The above for all numbers of n tokens, in blocks whose weights stay in the first-level cache.
// The next tile's x and dx come nearer meanwhile.
template <int K, bool shared, class Real, class T>
void stream_gradients(const SiteGradient<Real, T>& g, int n) {
    constexpr int kGroup = K ? kRegisters / 8 : 1;
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

// dw[i] = sum over n tokens and `rows` rows of each of <x, w_i>'s gradient times x
// (overwrites), i < m: rows have c numbers and lie side by side, tokens ldx apart. Of n_u dots,
// those of row r are from projection[r] on; du (tiles, n_u, kTile), dw packed as weights.
template <int K, class Real, class T>
void weight_gradient(int n, int rows, Index c, const T* x, Index ldx, int m, const Real* du,
                     Index n_u, const int* projection, Real* dw) {
    constexpr int kRows = kRegisters == 32 ? 6 : 3, kVecs = 4, kWidth = kVec<Real>;
    const auto block = [&](Index v, int i, auto n_vecs, auto size) __attribute__((always_inline)) {
        Vec<Real> sums[kRows][n_vecs]{};
        for (int t = 0; t < n; ++t)
            for (int r = 0; r < rows; ++r) {
                Vec<Real> in[n_vecs];
                for (int b = 0; b < n_vecs; ++b)
                    in[b] = load<Real>(x + t * ldx + r * c + (v + b) * kWidth, size);
                const Real* grad = du + (t / kTile * n_u + projection[r]) * kTile + t % kTile;
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
