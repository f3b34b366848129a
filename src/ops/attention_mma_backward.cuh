// The gradients of attention on tensor cores: equations, layout and who computes what are those of
// ops/attention_mma.cuh.
#pragma once

#include "ops/attention_mma.cuh"

namespace plumb::gpu {

// dy (16, Dp) of this warp's rows first .. -> rows of dx, turned back and through the norm; and,
// where there is a gain, this block's dgain (D), the rows of a warp and the warps in order.
// staging: kMmaRows x (Dp + 1) floats of shared memory that all warps have done with.
template <int Dp>
__device__ inline void store_turned_back(const float (&dy)[Dp / 8][4], float* staging,
                                         HeadRows<const Bf16> x, const TurnArgs<float>& f,
                                         long first, long context, int D, HeadRows<Bf16> dx,
                                         float* dgain) {
    constexpr int stride = Dp + 1, pairs = Dp / 64 > 0 ? Dp / 64 : 1;
    const int half = D / 2, warp = static_cast<int>(threadIdx.x / 32);
    float* own = staging + 16 * warp * stride;
#pragma unroll
    for (int j = 0; j < Dp / 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i)
            own[fragment_row(i) * stride + fragment_column(j, i)] = dy[j][i];
    __syncwarp();
    float dg[pairs][2] = {};
    for (int i = 0; i < 16; ++i) {
        const long t = first + 16 * warp + i;
        const bool live = t < context;
        const Bf16* row = x.row(live ? t : 0);
        Bf16* to = dx.row(live ? t : 0);
        float r = 1, along = 0, d[pairs][2], xhat[pairs][2] = {};
        if (f.gain) {
            float square = 0;
            for (int j = lane_id(); j < D; j += 32) square += float(row[j]) * float(row[j]);
            r = inverse_sqrt(warp_sum(square) / static_cast<float>(D) + f.eps);
        }
#pragma unroll
        for (int k = 0; k < pairs; ++k) {
            const int j = lane_id() + 32 * k;
            const bool there = live && j < half;
            const float a = there ? own[i * stride + j] * f.scale : 0,
                        b = there ? own[i * stride + j + half] * f.scale : 0,
                        cos = there ? f.cos[t * half + j] : 0,
                        sin = there ? f.sin[t * half + j] : 0;
            d[k][0] = a * cos + b * sin, d[k][1] = b * cos - a * sin;
            for (int part = 0; part < 2 && f.gain; ++part) {
                const int at = j + part * half;
                xhat[k][part] = there ? r * float(row[at]) : 0;
                dg[k][part] += d[k][part] * xhat[k][part];
                d[k][part] *= there ? f.gain[at] : 0;
                along += d[k][part] * xhat[k][part];
            }
        }
        if (f.gain) along = warp_sum(along) / static_cast<float>(D);
#pragma unroll
        for (int k = 0; k < pairs; ++k) {
            const int j = lane_id() + 32 * k;
            for (int part = 0; part < 2 && live && j < half; ++part)
                to[j + part * half] =
                    f.gain ? r * (d[k][part] - xhat[k][part] * along) : d[k][part];
        }
    }
    if (!f.gain) return;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < pairs; ++k)
        for (int part = 0; part < 2; ++part)
            if (const int j = lane_id() + 32 * k; j < half)
                staging[warp * Dp + j + part * half] = dg[k][part];
    __syncthreads();
    for (int j = static_cast<int>(threadIdx.x); j < D; j += static_cast<int>(kMmaThreads)) {
        float sum = 0;
        for (int w = 0; w < kMmaWarps; ++w) sum += staging[w * Dp + j];
        dgain[j] = sum;
    }
}

// From scores and <dO, v> to P, kept and not, and dS: number i of column tile j has `row`'s query
// and `column`'s key, or the other way round.
struct WeightOf {
    bool seen;
    float lse, delta, keep;
};
template <int n, class F>
__device__ inline void weight_gradients(float (&s)[n][4], float (&dp)[n][4], F&& of) {
#pragma unroll
    for (int j = 0; j < n; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const WeightOf w = of(j, i);
            // At most 0 but for rounding.
            const float p = w.seen ? weight(fminf(s[j][i] - w.lse, 0)) : 0;
            dp[j][i] = p * (w.keep * dp[j][i] - w.delta);
            s[j][i] = w.keep * p;
        }
}

template <int Dp, bool drops>
__global__ void __launch_bounds__(kMmaThreads)
    attention_mma_dq(AttentionArgs<Bf16> a, AttentionGradients<Bf16> g, MmaScratch work) {
    constexpr int n = kMmaRows / 8;
    using Tile = HalfTile<Dp>;
    const HeadTile at(kMmaRows, a.context, a.heads, true);
    const int kv = at.head / a.group(), own = 16 * static_cast<int>(threadIdx.x / 32);
    const long head = at.b * a.heads + at.head;
    Bf16* const shared = static_cast<Bf16*>(dynamic_shared());
    const auto tile = [&](int i) { return Tile{shared + i * Tile::numbers(kMmaRows)}; };
    const Tile q = tile(0), dout = tile(1), keys = tile(2), values = tile(3);
    q.template fetch<kMmaRows>(turned_head(a, work, at.b, at.head), at.first, a.context, a.dim);
    dout.template fetch<kMmaRows>(a.out(g.dout, at.b, at.head), at.first, a.context, a.dim);
    float lse[2], delta[2], dq[Dp / 8][4] = {};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        const long t = at.first + own + fragment_row(2 * r);
        lse[r] = t < a.context ? g.lse[head * a.context + t] : 0;
        delta[r] = t < a.context ? work.delta[head * a.context + t] : 0;
    }
    for (long key = 0; key <= at.first; key += kMmaRows) {
        __syncthreads();  // what was there has been read
        keys.template fetch<kMmaRows>(turned_head(a, work, at.b, a.heads + kv), key, a.context,
                                      a.dim);
        values.template fetch<kMmaRows>(a.v(a.qkv, at.b, kv), key, a.context, a.dim);
        close_group();
        wait_for_groups<0>();
        __syncthreads();
        float s[n][4], dp[n][4];
        scores<Dp, n>(q, own, keys, s);
        scores<Dp, n>(dout, own, values, dp);
        weight_gradients(s, dp, [&](int j, int i) -> WeightOf {
            const long t = at.first + own + fragment_row(i), k = key + fragment_column(j, i);
            return {k <= t && t < a.context, lse[i / 2], delta[i / 2],
                    drops ? a.keep(head, t, k) : 1};
        });
        add_mixes<Dp, n>(dp, keys, dq);
    }
    __syncthreads();
    store_turned_back<Dp>(dq, reinterpret_cast<float*>(shared), a.q(a.qkv, at.b, at.head),
                          a.turn_q(), at.first, a.context, a.dim, a.q(g.dqkv, at.b, at.head),
                          block_row(g.dgain, a.dim));
}

// Queries at a time: fewer where dk and dv take most registers.
template <int Dp>
inline constexpr int kQueryRows = Dp > 64 ? 32 : 64;

template <int Dp, bool drops>
__global__ void __launch_bounds__(kMmaThreads)
    attention_mma_dkv(AttentionArgs<Bf16> a, AttentionGradients<Bf16> g, MmaScratch work) {
    constexpr int rows = kQueryRows<Dp>, n = rows / 8;
    using Tile = HalfTile<Dp>;
    using PerQuery = float[2][rows];
    PLUMB_SHARED(PerQuery, of_query);  // lse, delta
    const HeadTile at(kMmaRows, a.context, a.kv_heads, false);
    const int own = 16 * static_cast<int>(threadIdx.x / 32);
    Bf16* const shared = static_cast<Bf16*>(dynamic_shared());
    const auto tile = [&](int i) { return Tile{shared + i * Tile::numbers(kMmaRows)}; };
    const Tile keys = tile(0), values = tile(1), q = tile(2), dout = tile(3);
    keys.template fetch<kMmaRows>(turned_head(a, work, at.b, a.heads + at.head), at.first,
                                  a.context, a.dim);
    values.template fetch<kMmaRows>(a.v(a.qkv, at.b, at.head), at.first, a.context, a.dim);
    float dk[Dp / 8][4] = {}, dv[Dp / 8][4] = {};
    for (int h = at.head * a.group(); h < (at.head + 1) * a.group(); ++h)
        for (long query = at.first; query < a.context; query += rows) {
            const long head = at.b * a.heads + h;
            __syncthreads();  // what was there has been read
            q.template fetch<rows>(turned_head(a, work, at.b, h), query, a.context, a.dim);
            dout.template fetch<rows>(a.out(g.dout, at.b, h), query, a.context, a.dim);
            close_group();
            if (const int i = static_cast<int>(threadIdx.x); i < rows) {
                const bool live = query + i < a.context;
                of_query[0][i] = live ? g.lse[head * a.context + query + i] : 0;
                of_query[1][i] = live ? work.delta[head * a.context + query + i] : 0;
            }
            wait_for_groups<0>();
            __syncthreads();
            float s[n][4], dp[n][4];
            scores<Dp, n>(keys, own, q, s);
            scores<Dp, n>(values, own, dout, dp);
            weight_gradients(s, dp, [&](int j, int i) -> WeightOf {
                const int c = fragment_column(j, i);
                const long t = query + c, k = at.first + own + fragment_row(i);
                return {k <= t && t < a.context, of_query[0][c], of_query[1][c],
                        drops ? a.keep(head, t, k) : 1};
            });
            add_mixes<Dp, n>(s, dout, dv);
            add_mixes<Dp, n>(dp, q, dk);
        }
    const HeadRows<Bf16> to = a.v(g.dqkv, at.b, at.head);
#pragma unroll
    for (int j = 0; j < Dp / 8; ++j)
#pragma unroll
        for (int r = 0; r < 2; ++r)
            if (const long t = at.first + own + fragment_row(2 * r); t < a.context && 8 * j < a.dim)
                *reinterpret_cast<unsigned*>(to.row(t) + fragment_column(j, 0)) =
                    halves(dv[j][2 * r], dv[j][2 * r + 1]);
    __syncthreads();
    store_turned_back<Dp>(dk, reinterpret_cast<float*>(shared), a.k(a.qkv, at.b, at.head),
                          a.turn_k(), at.first, a.context, a.dim, a.k(g.dqkv, at.b, at.head),
                          block_row(g.dgain, a.dim));
}

}  // namespace plumb::gpu
