// Causal attention on a GPU without tensor cores (ops/attention.h): what runs in float and double,
// and what any faster kernel is held against. FlashAttention-2's order (Dao 2023):
//
//     forward     O_t = sum over j <= t of softmax_j(q_t . k_j) v_j,   lse_t = log of the sum
//     backward    P = e^(S - lse),  dP = dO V^T,  dS = P (keep dP - <dO, O>)
//                 dq = dS k,   dk = dS^T q,   dv = (keep P)^T dO
//
// where q and k are normed, turned and scaled as they are loaded, so qkv stays as the projection
// made it and nothing of size T^2 or of q's size lies in memory.
//
// Layout: as ops/attention.h has it. Who computes what (ops/attention_tile.cuh): forward, a block a
// tile of queries of one head, over the tiles of keys at or before them, with the running maximum
// and sum of each row in the registers of its 16 threads and O in shared memory. Backward has two
// kernels and no atomics: dq like forward; dk and dv, a block a tile of keys of one key head, over
// the query heads that share it in order and their tiles at or after its own. So the order of all
// sums is fixed. Gradients of the gains: a row a block, added in order.
//
// Bytes: qkv and out once a tile that meets them, T / (2 tile) times in all. Flops a head:
// 2 T^2 D forward, 5 T^2 D + 2 T^2 D (S and dP twice) backward; a product reads 2 numbers of shared
// memory for `tile / 16` multiply-adds each, so it runs at a quarter to a half of the
// multiply-adds. With dropout, Philox is called once a number. Preconditions: D even, H a multiple
// of Hkv.
#pragma once

#include "ops/attention.h"
#include "ops/attention_tile.cuh"
#include "ops/reduce.cuh"

#include <type_traits>

namespace plumb::gpu {

template <class T>
struct AttentionArgs {
    using Real = RealOf<T>;
    long batch, context;          // B, T
    int heads, kv_heads, dim;     // H, Hkv, D
    const T* qkv;                 // (N, (H + 2 Hkv) D)
    const Real *gain_q, *gain_k;  // (D) or null
    Real eps;
    const Real *cos, *sin;  // (T, D/2)
    DropoutArgs dropout;

    PLUMB_BOTH int group() const { return heads / kv_heads; }
    PLUMB_BOTH long qkv_width() const { return static_cast<long>(heads + 2 * kv_heads) * dim; }
    PLUMB_BOTH long out_width() const { return static_cast<long>(heads) * dim; }
    // Heads of sequence b in a packed projection x, or in an output.
    template <class X>
    __device__ HeadRows<X> q(X* x, long b, int h) const {
        return {x + b * context * qkv_width() + h * dim, qkv_width()};
    }
    template <class X>
    __device__ HeadRows<X> k(X* x, long b, int kv) const {
        return q(x, b, heads + kv);
    }
    template <class X>
    __device__ HeadRows<X> v(X* x, long b, int kv) const {
        return q(x, b, heads + kv_heads + kv);
    }
    template <class X>
    __device__ HeadRows<X> out(X* x, long b, int h) const {
        return {x + b * context * out_width() + h * dim, out_width()};
    }
    __device__ TurnArgs<Real> turn_q() const {
        return {cos, sin, gain_q, eps, 1 / sqrt(static_cast<Real>(dim))};
    }
    __device__ TurnArgs<Real> turn_k() const { return {cos, sin, gain_k, eps, Real(1)}; }
    // The factor of weight j of query t of head b H + h: 0 or 1 / (1 - p).
    __device__ Real keep(long head, long t, long j) const {
        if (dropout.threshold == 0) return 1;
        Real all[kRun];
        dropout_run(dropout, head * context + t, j / kRun, all);
        Real own = 0;
#pragma unroll
        for (int k = 0; k < kRun; ++k) own = j % kRun == k ? all[k] : own;
        return own;
    }
};

// Which head and tile a block has; tiles of one head one after the other, the longest first.
struct HeadTile {
    long b, first;  // first: row of the tile
    int head;
    __device__ HeadTile(int tile, long context, int heads, bool last_first) {
        const long tiles = (context + tile - 1) / tile, at = blockIdx.x % tiles,
                   all = blockIdx.x / tiles;
        first = tile * (last_first ? tiles - 1 - at : at);
        head = static_cast<int>(all % heads);
        b = all / heads;
    }
};

// ---- forward ------------------------------------------------------------------------------------

// Shared memory: queries, keys then values, O, and the weights.
PLUMB_BOTH inline constexpr long attention_numbers(int tile, int D) {
    return 3L * tile * odd_stride(D) + 1L * tile * odd_stride(tile);
}

template <class T, int tile>
__global__ void __launch_bounds__(kTileThreads, 1)
    attention_tiles(AttentionArgs<T> a, T* out, RealOf<T>* lse) {
    using Real = RealOf<T>;
    constexpr int m = tile / 16;
    const int D = a.dim;
    const HeadTile at(tile, a.context, a.heads, true);
    const int kv = at.head / a.group();
    const long head = at.b * a.heads + at.head;
    SharedTiles<Real> shared;
    const Matrix<Real> q = shared.take(tile, D), kv_rows = shared.take(tile, D),
                       o = shared.take(tile, D), p = shared.take(tile, tile);
    Real max[m], sum[m], shrink[m];
    for (int r = 0; r < m; ++r) max[r] = -INFINITY, sum[r] = 0;
    load_turned<tile, T>(a.q(a.qkv, at.b, at.head), a.turn_q(), at.first, a.context, D, q);
    for (long key = 0; key <= at.first; key += tile) {
        __syncthreads();  // the values before have been read
        load_turned<tile, T>(a.k(a.qkv, at.b, kv), a.turn_k(), key, a.context, D, kv_rows);
        __syncthreads();
        product<tile, Real>(
            tile, D, [&](int i, int k) { return q(i, k); },
            [&](int k, int j) { return kv_rows(j, k); },
            [&](int, int i, int j, Real s) { p(i, j) = s; });
        __syncthreads();  // the keys have been read
        load_rows<tile, T>(a.v(a.qkv, at.b, kv), key, a.context, D, kv_rows);
        for (int r = 0; r < m; ++r) {  // a row's weights were left by the threads that read them
            const int i = tile_row() + 16 * r;
            const long seen = at.first + i - key;  // columns 0..seen
            Real most = max[r], own = 0;
            for (int j = tile_column(); j < tile; j += 16)
                if (j <= seen && p(i, j) > most) most = p(i, j);
            most = over_row(most, [](Real x, Real y) { return y > x ? y : x; });
            shrink[r] = key == 0 ? Real(0) : weight(max[r] - most);
            for (int j = tile_column(); j < tile; j += 16) {
                const Real e = j <= seen ? weight(p(i, j) - most) : Real(0);
                own += e;
                p(i, j) = e * a.keep(head, at.first + i, key + j);
            }
            sum[r] = sum[r] * shrink[r] + row_sum(own);
            max[r] = most;
        }
        __syncthreads();
        product<tile, Real>(
            D, tile, [&](int i, int k) { return p(i, k); },
            [&](int k, int j) { return kv_rows(k, j); },
            [&](int r, int i, int j, Real x) { o(i, j) = key == 0 ? x : o(i, j) * shrink[r] + x; });
    }
    for (int r = 0; r < m; ++r) {
        const long t = at.first + tile_row() + 16 * r;
        if (t >= a.context) continue;
        if (tile_column() == 0) lse[head * a.context + t] = max[r] + log(sum[r]);
        // The columns that this thread's product left.
        for (int j = tile_column(); j < D; j += 16)
            a.out(out, at.b, at.head).row(t)[j] =
                static_cast<T>(o(tile_row() + 16 * r, j) / sum[r]);
    }
}

// ---- backward -----------------------------------------------------------------------------------

template <class T>
struct AttentionGradients {
    using Real = RealOf<T>;
    const T *dout, *out;  // (N, H D)
    const Real* lse;      // (B, H, T)
    T* dqkv;              // as qkv
    Real* dgain;          // a row (D) a block, of one kernel after the other; null without gains
};

// A tile of queries and one of keys: q and k turned, values and gradients of outputs.
template <class Real>
struct TilePair {
    Matrix<Real> q, k, v, dout;  // (tile, D)
    Matrix<Real> p, ds;          // (tile, tile): keep P, dS; the same memory if p is not needed
};

// What a row of queries brings, of this thread's rows.
template <class Real, int m>
struct QueryRows {
    Real lse[m], delta[m];
};

template <int tile, class T>
__device__ inline QueryRows<RealOf<T>, tile / 16> load_queries(const AttentionArgs<T>& a,
                                                               const AttentionGradients<T>& g,
                                                               long b, int h, long first,
                                                               const TilePair<RealOf<T>>& to) {
    using Real = RealOf<T>;
    load_turned<tile, T>(a.q(a.qkv, b, h), a.turn_q(), first, a.context, a.dim, to.q);
    load_rows<tile, T>(a.out(g.dout, b, h), first, a.context, a.dim, to.dout);
    const HeadRows<const T> out = a.out(g.out, b, h);
    QueryRows<Real, tile / 16> rows;
    for (int r = 0; r < tile / 16; ++r) {
        const int i = tile_row() + 16 * r;
        const bool live = first + i < a.context;
        Real sum = 0;
        for (int j = tile_column(); j < a.dim && live; j += 16)
            sum += to.dout(i, j) * Real(out.row(first + i)[j]);
        rows.delta[r] = row_sum(sum);
        rows.lse[r] = live ? g.lse[(b * a.heads + h) * a.context + first + i] : Real(0);
    }
    return rows;
}

// p = keep P and ds = dS of a pair of tiles that begin at `query` and `key`. Barriers: before, not
// behind.
template <int tile, class T>
__device__ inline void weights_again(const AttentionArgs<T>& a, long head, long query, long key,
                                     const QueryRows<RealOf<T>, tile / 16>& rows,
                                     const TilePair<RealOf<T>>& x) {
    using Real = RealOf<T>;
    product<tile, Real>(
        tile, a.dim, [&](int i, int k) { return x.q(i, k); },
        [&](int k, int j) { return x.k(j, k); },
        [&](int r, int i, int j, Real s) {
            const bool seen = key + j <= query + i && query + i < a.context;
            // At most 0 but for rounding.
            const Real above = s - rows.lse[r];
            x.p(i, j) = seen ? weight(above > 0 ? Real(0) : above) : Real(0);
        });
    product<tile, Real>(
        tile, a.dim, [&](int i, int k) { return x.dout(i, k); },
        [&](int k, int j) { return x.v(j, k); },
        [&](int r, int i, int j, Real dp) {  // the numbers of p that this thread left
            const Real weight = x.p(i, j), keep = a.keep(head, query + i, key + j);
            x.p(i, j) = keep * weight;
            x.ds(i, j) = weight * (keep * dp - rows.delta[r]);
        });
}

// Of dq: q, dout, k, v, dq and dS; of dk, dv: k, v, q, dout, dk, dv, P and dS.
PLUMB_BOTH inline constexpr long attention_dq_numbers(int tile, int D) {
    return 5L * tile * odd_stride(D) + 1L * tile * odd_stride(tile);
}
PLUMB_BOTH inline constexpr long attention_dkv_numbers(int tile, int D) {
    return 6L * tile * odd_stride(D) + 2L * tile * odd_stride(tile);
}

// A block's row of part (blocks, D), or null.
template <class Real>
__device__ inline Real* block_row(Real* part, int D) {
    return part ? part + static_cast<long>(blockIdx.x) * D : nullptr;
}
template <class Real>
__device__ inline void clear_tile(int tile, int D, Matrix<Real> x) {
    for (int i = tile_row(); i < tile; i += 16)
        for (int j = tile_column(); j < D; j += 16) x(i, j) = 0;
}

template <class T, int tile>
__global__ void __launch_bounds__(kTileThreads, 1)
    attention_dq(AttentionArgs<T> a, AttentionGradients<T> g) {
    using Real = RealOf<T>;
    const int D = a.dim;
    const HeadTile at(tile, a.context, a.heads, true);
    const int kv = at.head / a.group();
    SharedTiles<Real> shared;
    TilePair<Real> x;
    x.q = shared.take(tile, D), x.dout = shared.take(tile, D);
    x.k = shared.take(tile, D), x.v = shared.take(tile, D);
    const Matrix<Real> dq = shared.take(tile, D);
    x.p = x.ds = shared.take(tile, tile);
    const auto rows = load_queries<tile, T>(a, g, at.b, at.head, at.first, x);
    clear_tile(tile, D, dq);
    for (long key = 0; key <= at.first; key += tile) {
        __syncthreads();  // what was there has been read
        load_turned<tile, T>(a.k(a.qkv, at.b, kv), a.turn_k(), key, a.context, D, x.k);
        load_rows<tile, T>(a.v(a.qkv, at.b, kv), key, a.context, D, x.v);
        __syncthreads();
        weights_again<tile, T>(a, at.b * a.heads + at.head, at.first, key, rows, x);
        __syncthreads();
        product<tile, Real>(
            D, tile, [&](int i, int k) { return x.ds(i, k); },
            [&](int k, int j) { return x.k(k, j); },
            [&](int, int i, int j, Real s) { dq(i, j) += s; });
    }
    __syncthreads();
    store_turned_back<tile, T>(dq, a.q(a.qkv, at.b, at.head), a.turn_q(), at.first, a.context, D,
                               a.q(g.dqkv, at.b, at.head), block_row(g.dgain, D));
}

template <class T, int tile>
__global__ void __launch_bounds__(kTileThreads, 1)
    attention_dkv(AttentionArgs<T> a, AttentionGradients<T> g) {
    using Real = RealOf<T>;
    const int D = a.dim;
    const HeadTile at(tile, a.context, a.kv_heads, false);
    SharedTiles<Real> shared;
    TilePair<Real> x;
    x.k = shared.take(tile, D), x.v = shared.take(tile, D);
    x.q = shared.take(tile, D), x.dout = shared.take(tile, D);
    const Matrix<Real> dk = shared.take(tile, D), dv = shared.take(tile, D);
    x.p = shared.take(tile, tile), x.ds = shared.take(tile, tile);
    load_turned<tile, T>(a.k(a.qkv, at.b, at.head), a.turn_k(), at.first, a.context, D, x.k);
    load_rows<tile, T>(a.v(a.qkv, at.b, at.head), at.first, a.context, D, x.v);
    clear_tile(tile, D, dk);
    clear_tile(tile, D, dv);
    for (int h = at.head * a.group(); h < (at.head + 1) * a.group(); ++h)
        for (long query = at.first; query < a.context; query += tile) {
            __syncthreads();  // what was there has been read
            const auto rows = load_queries<tile, T>(a, g, at.b, h, query, x);
            __syncthreads();
            weights_again<tile, T>(a, at.b * a.heads + h, query, at.first, rows, x);
            __syncthreads();
            product<tile, Real>(
                D, tile, [&](int i, int k) { return x.p(k, i); },
                [&](int k, int j) { return x.dout(k, j); },
                [&](int, int i, int j, Real s) { dv(i, j) += s; });
            product<tile, Real>(
                D, tile, [&](int i, int k) { return x.ds(k, i); },
                [&](int k, int j) { return x.q(k, j); },
                [&](int, int i, int j, Real s) { dk(i, j) += s; });
        }
    const HeadRows<T> to = a.v(g.dqkv, at.b, at.head);
    for (int i = tile_row(); i < tile; i += 16)  // the columns that this thread's product left
        for (int j = tile_column(); j < D && at.first + i < a.context; j += 16)
            to.row(at.first + i)[j] = static_cast<T>(dv(i, j));
    __syncthreads();
    store_turned_back<tile, T>(dk, a.k(a.qkv, at.b, at.head), a.turn_k(), at.first, a.context, D,
                               a.k(g.dqkv, at.b, at.head), block_row(g.dgain, D));
}

// ---- launches -----------------------------------------------------------------------------------

// Tiles of 64 where a block's shared memory holds them, else of 32 or, for large heads, 16: half
// the tile reads shared memory twice as often. 96 KiB: what every device since 2020 gives a block.
inline constexpr long kTileBytes = 96 << 10;

using TileNumbers = long(int tile, int D);
template <class Real>
bool tiles_fit(TileNumbers numbers, int tile, int D, std::size_t bytes) {
    return static_cast<std::size_t>(numbers(tile, D)) * sizeof(Real) <= bytes;
}
// f(tile), of the tiles whose numbers a block holds.
template <class Real, class F>
void with_tile(TileNumbers numbers, int D, F&& f) {
    using std::integral_constant;
    if (tiles_fit<Real>(numbers, 64, D, kTileBytes)) return f(integral_constant<int, 64>{});
    if (tiles_fit<Real>(numbers, 32, D, most_shared())) return f(integral_constant<int, 32>{});
    f(integral_constant<int, kLeastAttentionTile>{});
}
// Whether there are tiles for a head.
template <class Real>
bool head_fits(int D) {
    return tiles_fit<Real>(attention_dkv_numbers, kLeastAttentionTile, D, most_shared());
}
template <class T>
long attention_blocks(const AttentionArgs<T>& a, int heads, int tile) {
    return a.batch * heads * ((a.context + tile - 1) / tile);
}
// Numbers that AttentionGradients::dgain has room for.
template <class T>
long attention_dgain_numbers(const AttentionArgs<T>& a) {
    return attention_blocks(a, a.heads, kLeastAttentionTile) * a.dim;
}

template <class Real>
Grid tile_grid(long blocks, long numbers) {
    return {static_cast<unsigned>(blocks), kTileThreads,
            static_cast<std::size_t>(numbers) * sizeof(Real)};
}

template <class T>
void attention(cudaStream_t stream, const AttentionArgs<T>& a, T* out, RealOf<T>* lse) {
    using Real = RealOf<T>;
    with_tile<Real>(attention_numbers, a.dim, [&](auto tile) {
        const Grid grid =
            tile_grid<Real>(attention_blocks(a, a.heads, tile), attention_numbers(tile, a.dim));
        launch(stream, "attention", attention_tiles<T, tile>, grid, a, out, lse);
    });
}

// dgain_q and dgain_k (D) += , from g's scratch.
template <class T>
void attention_backward(cudaStream_t stream, const AttentionArgs<T>& a,
                        const AttentionGradients<T>& g, RealOf<T>* dgain_q, RealOf<T>* dgain_k) {
    using Real = RealOf<T>;
    with_tile<Real>(attention_dq_numbers, a.dim, [&](auto tile) {
        const long blocks = attention_blocks(a, a.heads, tile);
        launch(stream, "attention_dq", attention_dq<T, tile>,
               tile_grid<Real>(blocks, attention_dq_numbers(tile, a.dim)), a, g);
        if (a.gain_q) add_partials<Real>(stream, blocks, a.dim, g.dgain, dgain_q);
    });
    with_tile<Real>(attention_dkv_numbers, a.dim, [&](auto tile) {
        const long blocks = attention_blocks(a, a.kv_heads, tile);
        launch(stream, "attention_dkv", attention_dkv<T, tile>,
               tile_grid<Real>(blocks, attention_dkv_numbers(tile, a.dim)), a, g);
        if (a.gain_k) add_partials<Real>(stream, blocks, a.dim, g.dgain, dgain_k);
    });
}

}  // namespace plumb::gpu
