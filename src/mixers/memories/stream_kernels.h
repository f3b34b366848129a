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
//
// x, which every kVectors of w read again, is moved together first: its rows lie a power of two
// apart as a rule, and share few sets of a cache.
template <int K, class Real, class T>
void project(int n, Index c, const T* x, const T* before, Index ldx, int m, const Real* const* w,
             Real* u) {
    constexpr int kRows = 4, kVectors = kRegisters == 32 ? 4 : 3;  // 16 or 12 running sums
    constexpr Index kBlock = 512, kApart = kBlock + kVec<Real>;
    Real near[kRows * kApart];
    for (int t = 0; t < n; t += kRows)
        for (Index first = 0; first < c; first += kBlock) {
            const Index block = std::min(kBlock, c - first);
            for (int a = 0; a < kRows; ++a) {
                const Index row = std::min(t + a, n - 1) * ldx + first;
                for_vecs<Real, K != 0>(
                    block, [&](Index j, auto size) __attribute__((always_inline)) {
                        if (before) {
                            __builtin_prefetch(x + row + kTile * ldx + j, 0, 2);
                            __builtin_prefetch(before + row + kTile * ldx + j, 0, 2);
                        }
                        store<Real>(load<Real>(x + row + j, size), near + a * kApart + j,
                                    Full<Real>{});
                    });
            }
            for (int i = 0; i < m; i += kVectors) {
                const Real* weight[kVectors];
                for (int b = 0; b < kVectors; ++b) weight[b] = w[std::min(i + b, m - 1)] + first;
                Vec<Real> sums[kVectors * kRows]{};
                for_vecs<Real, K != 0>(
                    block, [&](Index j, auto size) __attribute__((always_inline)) {
                        Vec<Real> right[kVectors];
                        for (int b = 0; b < kVectors; ++b)
                            right[b] = in_register(load<Real>(weight[b] + j, size));
                        for (int a = 0; a < kRows; ++a) {
                            const Vec<Real> left =
                                in_register(load<Real>(near + a * kApart + j, Full<Real>{}));
                            for (int b = 0; b < kVectors; ++b)
                                sums[b * kRows + a] += left * right[b];
                        }
                    });
                Real out[kVectors * kRows];
                tiles::store_sums<kVectors * kRows, Real>(sums, out);
                for (int b = 0; b < std::min(kVectors, m - i); ++b)
                    for (int a = 0; a < std::min(kRows, n - t); ++a) {
                        Real& to = u[(i + b) * kTile + t + a];
                        to = (first > 0 ? to : Real(0)) + out[b * kRows + a];
                    }
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

// Channels whose gradients are made at a time, for all tokens: what they need stays in the
// first-level cache.
template <class Real>
inline constexpr Index kGradientBlock = 4 * kVec<Real>;

// What the dots add: out[t, s] (kGradientBlock numbers) = sum_i du[s,i] w[i], numbers from `begin`
// on, t < n. `shared`: the streams are projected on the same vectors, each giving numbers of its
// own.
template <int K, bool shared, class Real, class T>
void gradients_of_dots(const SiteGradient<Real, T>& g, int n, Index begin, Real* out) {
    constexpr int kTokens = 6, kVecs = kRegisters == 32 ? 4 : 2, kWidth = kVec<Real>;
    constexpr Index kBlock = kGradientBlock<Real>;
    const int streams = K ? K : g.streams;
    const auto tile = [&](const Real* w, const Real* du, Real* to, auto tokens, auto vecs)
        __attribute__((always_inline)) {
        Vec<Real> sum[tokens][vecs]{};
        for (int row = 0; row < g.m; ++row, w += kWidth, du += kTile) {
            Vec<Real> weight[vecs];
            for (int b = 0; b < vecs; ++b)
                weight[b] = in_register(load<Real>(w + b * g.m * kWidth, Full<Real>{}));
            for (int q = 0; q < tokens; ++q)
                for (int b = 0; b < vecs; ++b) sum[q][b] += du[q] * weight[b];
        }
        for (int q = 0; q < tokens; ++q)
            for (int b = 0; b < vecs; ++b)
                store<Real>(sum[q][b], to + q * streams * kBlock + b * kWidth, Full<Real>{});
    };
    const auto all_tokens = [&](const Real* w, const Real* du, Real* to, auto vecs)
        __attribute__((always_inline)) {
        const auto at = [&](int t, auto tokens) __attribute__((always_inline)) {
            tile(w, du + t, to + t * streams * kBlock, tokens, vecs);
        };
        int t = 0;
        for (; t + kTokens <= n; t += kTokens) at(t, std::integral_constant<int, kTokens>{});
        for (; t + 4 <= n; t += 4) at(t, std::integral_constant<int, 4>{});
        for (; t < n; ++t) at(t, std::integral_constant<int, 1>{});
    };
    const Index first = begin / kWidth, vecs = packed_vecs<Real>(g.c),
                here = std::min(kBlock / kWidth, vecs - first);
    for (int s = 0; s < streams; ++s) {
        const Real* w = g.packed + ((shared ? 0 : s * vecs) + first) * g.m * kWidth;
        const Real* du = g.du + g.projection[shared ? s : 0] * kTile;
        Real* to = out + s * kBlock;
        Index b = 0;
        for (; b + kVecs <= here; b += kVecs)
            all_tokens(w + b * g.m * kWidth, du, to + b * kWidth,
                       std::integral_constant<int, kVecs>{});
        for (; b < here; ++b)
            all_tokens(w + b * g.m * kWidth, du, to + b * kWidth, std::integral_constant<int, 1>{});
    }
}

// dx[s] <- sum_k A[k,s] dx[k] + c[s] d + along[s] x[s] + level[s] + dots[s], then
// dv = sum_k A_before[k,K] dx[k]: numbers [i, i + size) of a token. dots: kGradientBlock apart.
template <int K, class Real, class T, class Size>
[[gnu::always_inline]] inline void stream_gradient(const SiteGradient<Real, T>& g, int token,
                                                   Index i, Size size, const Real* dots) {
    constexpr int kMax = K ? K : kMaxStreams;
    const int n = K ? K : g.streams;
    Real* dx = g.dx + token * n * g.c + i;
    Vec<Real> sum[kMax];
    const Vec<Real> d = load<Real>(g.d + token * g.c + i, size);
    for (int s = 0; s < n; ++s) sum[s] = g.read[s * kTile + token] * d;
    if (g.m > 0)
        for (int s = 0; s < n; ++s) {
            const Vec<Real> x = load<Real>(g.x + (token * n + s) * g.c + i, size);
            sum[s] += load<Real>(dots + s * kGradientBlock<Real>, Full<Real>{});
            sum[s] += g.along[s * kTile + token] * x + g.level[s * kTile + token];
        }
    if (!g.last)
        for (int k = 0; k < n; ++k) {
            const Vec<Real> out = load<Real>(dx + k * g.c, size);
            for (int s = 0; s < n; ++s) sum[s] += g.write[(k * (n + 1) + s) * kTile + token] * out;
        }
    Vec<Real> dv{};
    for (int k = 0; k < n; ++k) {
        store<Real>(sum[k], dx + k * g.c, size);
        dv += g.write_before ? g.write_before[(k * (n + 1) + n) * kTile + token] * sum[k] : sum[k];
    }
    store<Real>(dv, g.dv + token * g.c + i, size);
}

// The above for all numbers of n tokens. The next tile's x and dx come nearer meanwhile.
template <int K, bool shared, class Real, class T>
void stream_gradients(const SiteGradient<Real, T>& g, int n) {
    constexpr Index kBlock = kGradientBlock<Real>;
    const int streams = K ? K : g.streams;
    Real dots[kTile * kMaxStreams * kBlock];  // (n, K, kBlock)
    for (Index begin = 0; begin < g.c; begin += kBlock) {
        if (g.m > 0) gradients_of_dots<K, shared>(g, n, begin, dots);
        for (int t = 0; t < n; ++t) {
            for (int s = 0; s < streams; ++s) {
                const Index next = ((t + kTile) * streams + s) * g.c + begin;
                prefetch_read(g.x + next, kBlock);
                if (!g.last) prefetch_write(g.dx + next, kBlock);
            }
            for_vecs<Real, K != 0>(
                std::min(kBlock, g.c - begin), [&](Index i,
                                                   auto size) __attribute__((always_inline)) {
                    stream_gradient<K>(g, t, begin + i, size, dots + t * streams * kBlock + i);
                });
        }
    }
}

// dw[i] = sum over n tokens and `rows` rows of each of <x, w_i>'s gradient times x
// (overwrites), i < m: rows have c numbers and lie side by side, tokens ldx apart. Of n_u dots,
// those of row r are from projection[r] on; du (tiles, n_u, kTile), dw packed as weights.
// x, which every kRows dots read again, is moved together first: its tokens lie a power of two
// apart as a rule, and share few sets of a cache.
template <int K, class Real, class T>
void weight_gradient(int n, int rows, Index c, const T* x, Index ldx, int m, const Real* du,
                     Index n_u, const int* projection, Real* dw) {
    constexpr int kRows = 6, kVecs = kRegisters == 32 ? 4 : 2, kWidth = kVec<Real>;
    Real near[kTokenChunk * kMaxStreams * kVecs * kWidth];  // (n, rows, Vecs)
    const int tiles = (n + kTile - 1) / kTile;
    // f(tile, row, number of tokens), in the order of `near`.
    const auto each = [&](auto&& f) __attribute__((always_inline)) {
        for (int tile = 0; tile < tiles; ++tile)
            for (int r = 0; r < rows; ++r) f(tile, r, std::min(kTile, n - tile * kTile));
    };
    const auto gather = [&](Index v, auto n_vecs, auto size) __attribute__((always_inline)) {
        Real* to = near;
        each([&](int tile, int r, int tokens) __attribute__((always_inline)) {
            for (int t = tile * kTile; t < tile * kTile + tokens; ++t)
                for (int b = 0; b < n_vecs; ++b, to += kWidth)
                    store<Real>(load<Real>(x + t * ldx + r * c + (v + b) * kWidth, size), to,
                                Full<Real>{});
        });
    };
    const auto block = [&](Index v, int i, auto n_vecs, auto n_rows)
        __attribute__((always_inline)) {
        Vec<Real> sums[n_rows][n_vecs]{};
        const Real* from = near;
        each([&](int tile, int r, int tokens) __attribute__((always_inline)) {
            const Real* grad = du + (tile * n_u + projection[r] + i) * kTile;
            for (int t = 0; t < tokens; ++t, ++grad) {
                Vec<Real> in[n_vecs];
                for (int b = 0; b < n_vecs; ++b, from += kWidth)
                    in[b] = in_register(load<Real>(from, Full<Real>{}));
                for (int a = 0; a < n_rows; ++a)
                    for (int b = 0; b < n_vecs; ++b) sums[a][b] += grad[a * kTile] * in[b];
            }
        });
        for (int a = 0; a < n_rows; ++a)
            for (int b = 0; b < n_vecs; ++b)
                store<Real>(sums[a][b], dw + ((v + b) * m + i + a) * kWidth, Full<Real>{});
    };
    constexpr std::integral_constant<int, kVecs> wide;
    constexpr std::integral_constant<int, kRows> high;
    constexpr std::integral_constant<int, 1> one;
    const auto blocks = [&](Index v, auto n_vecs, auto size) __attribute__((always_inline)) {
        gather(v, n_vecs, size);
        int i = 0;
        for (; i + kRows <= m; i += kRows) block(v, i, n_vecs, high);
        for (; i < m; ++i) block(v, i, n_vecs, one);
    };
    for (Index v = 0; v * kWidth < c;) {
        if ((v + wide) * kWidth <= c) {
            blocks(v, wide, Full<Real>{});
            v += wide;
            continue;
        }
        if ((v + 1) * kWidth <= c)
            blocks(v, one, Full<Real>{});
        else if constexpr (K == 0)
            blocks(v, one, static_cast<int>(c - v * kWidth));
        ++v;
    }
}

}  // namespace plumb
