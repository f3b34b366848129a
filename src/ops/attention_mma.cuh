// Causal attention on a GPU's tensor cores: bf16, head sizes of a multiple of 8 up to 128; the
// equations and the order of sums are those of ops/attention.cuh, which runs what this does not.
//
//     attention_turn     q' = scale * turned (gain * normed q),  k' = turned (gain * normed k)
//     attention_forward  O and lse of a tile of queries, over the tiles of keys
//     attention_delta    delta_t = <dO_t, O_t>
//     attention_dq, _dkv as there; what comes out for q' and k' is turned back before it is stored
//
// Numbers: q', k', P and dS are rounded to bf16 between products, as FlashAttention-2 does (Dao
// 2023, arXiv:2307.08691); scores, exponentials and all sums are float. So a score is off by about
// 2^-9 |q'| |k'| / sqrt(D), which CPU kernels, whose scores are float, are not.
//
// Layout: turned (N, (H + Hkv) D) and delta (B, H, T) are scratch of the call. Who computes what: a
// block is 4 warps; a warp has 16 rows of the block's tile (queries, or keys in attention_dkv) and
// meets all columns of the other tile by mma.m16n8k16. In shared memory rows of a head are Dp + 8
// numbers apart: eight rows of a fragment lie in different banks. An operand whose pairs run down a
// column is read by ldmatrix.trans. What a product leaves as a sum (m16n8) is, rounded, the operand
// (m16k16) of the next: P and dS stay in registers.
//
// Bytes: a tile of keys and values, 4 Dp x 64, once a tile of queries that meets it. Flops a head:
// 2 T^2 D forward, 7 T^2 D backward, at 16 x 8 x 16 x 2 an instruction. Philox is called for 2
// weights at a time forward and for dq, for each in attention_dkv.
#pragma once

#include "core/mma.cuh"
#include "ops/attention.cuh"

namespace plumb::gpu {

inline constexpr int kMmaWarps = 4, kMmaRows = 16 * kMmaWarps;
inline constexpr unsigned kMmaThreads = 32 * kMmaWarps;

// ---- fragments ----------------------------------------------------------------------------------

__device__ inline unsigned halves(float low, float high) {
    return Bf16(low).bits | static_cast<unsigned>(Bf16(high).bits) << 16;
}

// Rows of bf16 in shared memory.
template <int Dp>
struct HalfTile {
    static constexpr int kStride = Dp + 8;
    PLUMB_BOTH static constexpr long numbers(int rows) { return long{rows} * kStride; }
    Bf16* x;
    __device__ Bf16* row(int i) const { return x + i * kStride; }
    // Two neighbours of a row.
    __device__ unsigned pair(int i, int j) const {
        return *reinterpret_cast<const unsigned*>(row(i) + j);
    }
    // As A (16, 16) of rows first .. and columns 16 k ..
    __device__ void a(int first, int k, unsigned (&f)[4]) const {
        const int g = first + lane_id() / 4, j = 16 * k + 2 * (lane_id() % 4);
        f[0] = pair(g, j), f[1] = pair(g + 8, j), f[2] = pair(g, j + 8), f[3] = pair(g + 8, j + 8);
    }
    // As B (16, 8): the transpose of rows 8 n .., columns 16 k ..
    __device__ void b_of_rows(int n, int k, unsigned (&f)[2]) const {
        const int g = 8 * n + lane_id() / 4, j = 16 * k + 2 * (lane_id() % 4);
        f[0] = pair(g, j), f[1] = pair(g, j + 8);
    }
    // As B (16, 8): rows 16 k .., columns 8 n ..
    __device__ void b(int k, int n, unsigned (&f)[2]) const {
        load_transposed(row(16 * k + lane_id() % 16) + 8 * n, f);
    }
    // Rows first .. of `from`, of which there are `context`, on their way (core/ring.cuh); zeros
    // elsewhere.
    template <int rows>
    __device__ void fetch(HeadRows<const Bf16> from, long first, long context, int D) const {
        constexpr int runs = Dp / kRun;
        for (int i = static_cast<int>(threadIdx.x); i < rows * runs;
             i += static_cast<int>(kMmaThreads)) {
            const int r = i / runs, j = i % runs * kRun;
            const bool live = first + r < context && j < D;
            copy_later(row(r) + j, live ? from.row(first + r) + j : from.data, live);
        }
    }
};

// s (16, 8 n) = A (16, Dp) of `rows`, first .., times the transpose of n tiles of `columns`.
template <int Dp, int n>
__device__ inline void scores(const HalfTile<Dp>& rows, int first, const HalfTile<Dp>& columns,
                              float (&s)[n][4]) {
#pragma unroll
    for (int j = 0; j < n; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) s[j][i] = 0;
#pragma unroll
    for (int k = 0; k < Dp / 16; ++k) {
        unsigned a[4], b[2];
        rows.a(first, k, a);
#pragma unroll
        for (int j = 0; j < n; ++j) {
            columns.b_of_rows(j, k, b);
            mma_16x8x16(s[j], a, b);
        }
    }
}

// sum (16, Dp) += p (16, 8 n), rounded, times rows 0 .. 8 n - 1 of x.
template <int Dp, int n>
__device__ inline void add_mixes(const float (&p)[n][4], const HalfTile<Dp>& x,
                                 float (&sum)[Dp / 8][4]) {
#pragma unroll
    for (int k = 0; k < n / 2; ++k) {
        const float(&low)[4] = p[2 * k], (&high)[4] = p[2 * k + 1];
        const unsigned a[4] = {halves(low[0], low[1]), halves(low[2], low[3]),
                               halves(high[0], high[1]), halves(high[2], high[3])};
#pragma unroll
        for (int j = 0; j < Dp / 8; ++j) {
            unsigned b[2];
            x.b(k, j, b);
            mma_16x8x16(sum[j], a, b);
        }
    }
}

// Which row (of the warp's 16) and column (of 8 n) number i of s[j] is.
__device__ inline int fragment_row(int i) { return lane_id() / 4 + 8 * (i / 2); }
__device__ inline int fragment_column(int j, int i) { return 8 * j + 2 * (lane_id() % 4) + i % 2; }

// Over the 4 lanes that share a row.
template <class F>
__device__ inline float over_quad(float x, F&& both) {
    x = both(x, __shfl_xor_sync(~0u, x, 1));
    return both(x, __shfl_xor_sync(~0u, x, 2));
}

// ---- before the products ------------------------------------------------------------------------

struct MmaScratch {
    float* delta;  // (B, H, T)
    Bf16* turned;  // (N, (H + Hkv) D)
};

// The heads of queries and keys, turned.
__device__ inline HeadRows<const Bf16> turned_head(const AttentionArgs<Bf16>& a,
                                                   const MmaScratch& work, long b, int head) {
    const long width = static_cast<long>(a.heads + a.kv_heads) * a.dim;
    return {work.turned + b * a.context * width + head * a.dim, width};
}

__device__ inline float warp_sum(float x) {
    float one[1] = {x};
    return warp_sums(one);
}

// A warp a row of a head; rows (N, H + Hkv).
static __global__ void __launch_bounds__(kMmaThreads)
    attention_turn(AttentionArgs<Bf16> a, MmaScratch work) {
    const int heads = a.heads + a.kv_heads, half = a.dim / 2;
    const long row = static_cast<long>(blockIdx.x) * kMmaWarps + threadIdx.x / 32;
    const bool live = row < a.batch * a.context * heads;
    const long n = live ? row / heads : 0;
    const int head = live ? static_cast<int>(row % heads) : 0;
    const TurnArgs<float> f = head < a.heads ? a.turn_q() : a.turn_k();
    const Bf16* x = a.qkv + n * a.qkv_width() + static_cast<long>(head) * a.dim;
    Bf16* y = work.turned + (n * heads + head) * a.dim;
    float r = f.scale;
    if (f.gain) {
        float square = 0;
        for (int j = lane_id(); j < a.dim; j += 32) square += float(x[j]) * float(x[j]);
        r *= inverse_sqrt(warp_sum(square) / static_cast<float>(a.dim) + f.eps);
    }
    const long t = n % a.context;
    for (int j = lane_id(); j < half && live; j += 32) {
        const float cos = f.cos[t * half + j], sin = f.sin[t * half + j];
        const float p = float(x[j]) * r * (f.gain ? f.gain[j] : 1),
                    q = float(x[j + half]) * r * (f.gain ? f.gain[j + half] : 1);
        y[j] = p * cos - q * sin;
        y[j + half] = q * cos + p * sin;
    }
}

// A warp a row (N, H).
static __global__ void __launch_bounds__(kMmaThreads)
    attention_delta(AttentionArgs<Bf16> a, const Bf16* dout, const Bf16* out, MmaScratch work) {
    const long row = static_cast<long>(blockIdx.x) * kMmaWarps + threadIdx.x / 32;
    const bool live = row < a.batch * a.context * a.heads;
    float sum = 0;
    for (int j = lane_id(); j < a.dim && live; j += 32)
        sum += float(dout[row * a.dim + j]) * float(out[row * a.dim + j]);
    sum = warp_sum(sum);
    const long n = row / a.heads, head = n / a.context * a.heads + row % a.heads;
    if (live && lane_id() == 0) work.delta[head * a.context + n % a.context] = sum;
}

// ---- forward ------------------------------------------------------------------------------------

// p *= keep, weights of the queries from `query` on and the keys from `key` on.
template <int n>
__device__ inline void keep_weights(const AttentionArgs<Bf16>& a, long head, long query, long key,
                                    float (&p)[n][4]) {
#pragma unroll
    for (int j = 0; j < n; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i)
            p[j][i] *= a.keep(head, query + fragment_row(i), key + fragment_column(j, i));
}

// drops: whether there is dropout, whose Philox takes a third of the registers.
template <int Dp, bool drops>
__global__ void __launch_bounds__(kMmaThreads)
    attention_forward(AttentionArgs<Bf16> a, MmaScratch work, Bf16* out, float* lse) {
    constexpr int n = kMmaRows / 8;
    using Tile = HalfTile<Dp>;
    const HeadTile at(kMmaRows, a.context, a.heads, true);
    const int kv = at.head / a.group(), own = 16 * static_cast<int>(threadIdx.x / 32);
    const long head = at.b * a.heads + at.head;
    Bf16* const shared = static_cast<Bf16*>(dynamic_shared());
    const Tile q{shared}, keys{shared + Tile::numbers(kMmaRows)},
        values{shared + 2 * Tile::numbers(kMmaRows)};
    const HeadRows<const Bf16> k_rows = turned_head(a, work, at.b, a.heads + kv),
                               v_rows = a.v(a.qkv, at.b, kv);
    q.template fetch<kMmaRows>(turned_head(a, work, at.b, at.head), at.first, a.context, a.dim);
    keys.template fetch<kMmaRows>(k_rows, 0, a.context, a.dim);
    close_group();
    values.template fetch<kMmaRows>(v_rows, 0, a.context, a.dim);
    close_group();
    float o[Dp / 8][4] = {}, max[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    for (long key = 0; key <= at.first; key += kMmaRows) {
        float s[n][4];
        wait_for_groups<1>();
        __syncthreads();  // the keys are here
        scores<Dp, n>(q, own, keys, s);
        __syncthreads();  // and have been read
        if (key < at.first) keys.template fetch<kMmaRows>(k_rows, key + kMmaRows, a.context, a.dim);
        close_group();
        float most[2] = {max[0], max[1]}, shrink[2], mass[2] = {0, 0};
#pragma unroll
        for (int j = 0; j < n; ++j)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                if (key + fragment_column(j, i) > at.first + own + fragment_row(i))
                    s[j][i] = -INFINITY;
                most[i / 2] = fmaxf(most[i / 2], s[j][i]);
            }
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            most[r] = over_quad(most[r], [](float x, float y) { return y > x ? y : x; });
            shrink[r] = weight(max[r] - most[r]);
            max[r] = most[r];
        }
#pragma unroll
        for (int j = 0; j < n; ++j)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                s[j][i] = weight(s[j][i] - most[i / 2]);
                mass[i / 2] += s[j][i];
            }
#pragma unroll
        for (int r = 0; r < 2; ++r)
            sum[r] =
                sum[r] * shrink[r] + over_quad(mass[r], [](float x, float y) { return x + y; });
        if constexpr (drops) keep_weights(a, head, at.first + own, key, s);
#pragma unroll
        for (int j = 0; j < Dp / 8; ++j)
#pragma unroll
            for (int i = 0; i < 4; ++i) o[j][i] *= shrink[i / 2];
        wait_for_groups<1>();
        __syncthreads();  // the values are here
        add_mixes<Dp, n>(s, values, o);
        __syncthreads();  // and have been read
        if (key < at.first)
            values.template fetch<kMmaRows>(v_rows, key + kMmaRows, a.context, a.dim);
        close_group();
    }
    wait_for_groups<0>();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        const long t = at.first + own + fragment_row(2 * r);
        if (t >= a.context) continue;
        if (lane_id() % 4 == 0) lse[head * a.context + t] = max[r] + log(sum[r]);
        Bf16* to = a.out(out, at.b, at.head).row(t);
        const float inverse = 1 / sum[r];
#pragma unroll
        for (int j = 0; j < Dp / 8; ++j)
            if (8 * j < a.dim)
                *reinterpret_cast<unsigned*>(to + fragment_column(j, 0)) =
                    halves(o[j][2 * r] * inverse, o[j][2 * r + 1] * inverse);
    }
}

}  // namespace plumb::gpu
