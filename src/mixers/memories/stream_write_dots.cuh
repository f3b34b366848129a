// streams_write and the dots of what it writes in one pass, on the tensor cores: X_{l+1} is
// projected on its site's vectors while it lies in registers, and not read for that. K streams in
// bf16:
//
//     pack_fragments      W as below, <1, w>
//     streams_write_dots  X'[k] = sum_s A[k,s] X[s] + A[k,K] v;
//                         of a slab of channels w X', <X', X'> and, of each stream, <X', 1>
//     sum_slabs           u, each number where the rule has it, of the slabs' sums in their order
//
// The dots are of X' as it is stored. `ends` (end to end): those of a token's K C numbers, vectors
// as long; otherwise those of each stream, vectors of C for all of them.
//
// Who computes what. A block is 64 tokens and a slab of 256 channels, a warp 16 tokens of them.
// Lane 4 g + t has 8 channels of each 32, from 8 t on, of tokens g and g + 8: rows are read and
// written 16 bytes a lane, 64 in a row. Packed in pairs these are, without a move, A of two
// products (core/mma.cuh), the first of channels 8 t + {0..3}, the second of 8 t + {4..7}: which
// column of A a channel is does not matter, as long as W agrees. A product is of 8 vectors, a tile.
// What rounding takes of W is a second W, whose products go to the same sums: nothing of the
// vectors is lost. The warps of a block go through the same vectors, so that three of four find
// them in the first cache.
//
// Layout: W [stream | one][32 channels][part][tile][lane][8], zeros where there is no vector and no
// channel: a lane reads the 16 bytes that are its B of both products. X, X', v, scalars as in
// streams.cuh. The slabs' sums (slabs, numbers, N); numbers: [stream | one][vector], then <X', X'>,
// or <X', 1>, <X', X'> of each stream.
//
// A token, d = 2 C bytes: rows (2 K + 1) d; W m K / 8 d from the first cache (end to end), a
// quarter of it from the second; sums 8 bytes a number and slab; 4 m K C flops of the cores, 2 C K
// (K + 3) of others. mhc, K = 4, m = 24, C = 1024: 9 d; 12 d, 3 d; 0.4 d; 0.39 and 0.06 Mflop.
// Floor on an H100 at 3.35 TB/s: 5.5 ns, of which the first cache is busy 1.5, the cores 0.7.
#pragma once

#include "core/mma.cuh"
#include "core/runs.cuh"
#include "mixers/memories/stream_dots.cuh"
#include "mixers/memories/stream_write_dots.h"

namespace plumb::gpu {

inline constexpr int kWriteWarps = 4, kWriteTokens = 16;  // of a block, of a warp

inline Grid write_dots_grid(long N, long slabs) {
    constexpr long kTokens = kWriteWarps * kWriteTokens;
    return {static_cast<unsigned>(slabs * ((N + kTokens - 1) / kTokens)), 32 * kWriteWarps};
}

// A block a vector, or what fills the last tile up. totals (m).
template <class T>
__global__ void __launch_bounds__(kRunThreads)
    pack_fragments(StreamVectors s, int C, int tiles, const RealOf<T>* values, T* packed,
                   RealOf<T>* totals) {
    using Real = RealOf<T>;
    PLUMB_SHARED(BlockMemory<Real>, memory);
    const int i = static_cast<int>(blockIdx.x), padded = (C + 31) / 32 * 32,
              numbers = s.width / C * padded;
    const long step = tiles * 32 * kRun;
    Real sum = 0;
    for (int at = static_cast<int>(threadIdx.x); at < numbers; at += kRunThreads) {
        const int c = at % padded;
        const Real w = i < s.m && c < C ? values[s.at[i] + at / padded * C + c] : Real(0);
        const int lane = i % 8 * 4 + c % 32 / kRun;
        T* block = packed + at / 32 * kParts<T> * step;
        sum += w;
        store_parts<T>(w, block + (i / 8 * 32 + lane) * kRun + c % kRun, step);
    }
    sum = block_sum(sum, memory);
    if (threadIdx.x == 0 && i < s.m) totals[i] = sum;
}

// ---- a lane's sums ------------------------------------------------------------------------------

// Of its channels of a slab of tokens g and g + 8; of vectors, after the cores' products: vectors
// 2 t and 2 t + 1 of a tile.
template <int K, int tiles, bool ends>
struct SlabSums {
    static constexpr int kRows = ends ? 1 : K;
    float products[kRows][tiles][4] = {};
    float level[2][kRows] = {}, square[2][kRows] = {};

    // Stream k of both tokens, in a block of 32 channels; w: the lane's of W there.
    __device__ void add(int k, const Run<Bf16> (&x)[2], const Bf16* w) {
        const int r = ends ? 0 : k;
#pragma unroll
        for (int token = 0; token < 2; ++token) {
            float y[kRun];
            unpack(x[token], y);
#pragma unroll
            for (int j = 0; j < kRun; ++j) {
                level[token][r] += y[j];
                square[token][r] += y[j] * y[j];
            }
        }
#pragma unroll
        for (int part = 0; part < kParts<Bf16>; ++part)
#pragma unroll
            for (int tile = 0; tile < tiles; ++tile) {
                const auto b =
                    *reinterpret_cast<const Run<Bf16>*>(w + (part * tiles + tile) * 32 * kRun);
#pragma unroll
                for (int half = 0; half < 4; half += 2)
                    mma_16x8x16(products[r][tile],
                                {x[0].x[half], x[1].x[half], x[0].x[half + 1], x[1].x[half + 1]},
                                {b.x[half], b.x[half + 1]});
            }
    }
    // out: of token g of the slab. All lanes take part.
    __device__ void store(long N, long n, int m, float* out) {
        const int t = lane_id() % 4;
        const bool live[2] = {n < N, n + 8 < N};
#pragma unroll
        for (int r = 0; r < kRows; ++r)
#pragma unroll
            for (int tile = 0; tile < tiles; ++tile)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int vector = 8 * tile + 2 * t + i % 2;
                    if (vector < m && live[i / 2])
                        out[(r * m + vector) * N + i / 2 * 8] = products[r][tile][i];
                }
        out += kRows * m * N;
#pragma unroll
        for (int token = 0; token < 2; ++token) {
            const auto put = [&](int number, float x) {
                x += __shfl_xor_sync(~0u, x, 1);
                x += __shfl_xor_sync(~0u, x, 2);
                if (t == number % 4 && live[token]) out[number * N + token * 8] = x;
            };
#pragma unroll
            for (int r = 0; r < kRows; ++r) {
                if constexpr (!ends) put(2 * r, level[token][r]);
                put(ends ? 0 : 2 * r + 1, square[token][r]);
            }
        }
    }
};

// ---- the pass -----------------------------------------------------------------------------------

// As many blocks as their registers (sm_90: 168, of rows 204) let run at once; none spills.
template <int K, int tiles, bool ends>
__global__ void __launch_bounds__(32 * kWriteWarps, ends ? 3 : 2)
    streams_write_dots(long N, int C, int m, bool first, const Bf16* __restrict__ x,
                       const Bf16* __restrict__ v, const float* __restrict__ scalars,
                       const Bf16* __restrict__ packed, Bf16* __restrict__ out,
                       float* __restrict__ sums) {
    constexpr int kBlocks = WriteDots::kSlab / WriteDots::kBlock;  // of a slab
    const int blocks = (C + 31) / 32, slabs = (blocks + kBlocks - 1) / kBlocks,
              slab = static_cast<int>(blockIdx.x) % slabs,
              end = (slab + 1) * kBlocks < blocks ? (slab + 1) * kBlocks : blocks;
    const long n =
        (blockIdx.x / slabs * kWriteWarps + threadIdx.x / 32) * long{kWriteTokens} + lane_id() / 4;
    const StreamScalars<K, float> by[2] = {{scalars, N, n, n < N && !first, true},
                                           {scalars, N, n + 8, n + 8 < N && !first, true}};
    SlabSums<K, tiles, ends> slab_sums;
#pragma unroll 1
    for (int block = slab * kBlocks; block < end; ++block) {
        const int c = 32 * block + kRun * (lane_id() % 4);
        Run<Bf16> in[2][K], value[2], made[K][2];
#pragma unroll
        for (int token = 0; token < 2; ++token) {
            const long at = n + 8 * token;
            value[token] = take_run<true>(v + at * C, c, C, at < N);
#pragma unroll
            for (int s = 0; s < K; ++s)
                in[token][s] = take_run<true>(x + (at * K + s) * C, c, C, at < N && !first);
        }
#pragma unroll
        for (int token = 0; token < 2; ++token) {
            const long at = n + 8 * token;
            float row[K + 1][kRun];
#pragma unroll
            for (int s = 0; s < K; ++s) unpack(in[token][s], row[s]);
            unpack(value[token], row[K]);
#pragma unroll
            for (int k = 0; k < K; ++k) {
                float sum[kRun];
                mix_run(by[token], k, first, row, sum);
                pack(sum, made[k][token]);
                if (at < N && c < C)
                    *reinterpret_cast<Run<Bf16>*>(out + (at * K + k) * C + c) = made[k][token];
            }
        }
        constexpr int kOfBlock = kParts<Bf16> * tiles * 32 * kRun;
#pragma unroll
        for (int k = 0; k < K; ++k)
            slab_sums.add(
                k, made[k],
                packed + ((ends ? k * blocks : 0) + block) * long{kOfBlock} + lane_id() * kRun);
    }
    slab_sums.store(N, n, m,
                    sums + static_cast<long>(slab) * WriteDots::numbers(K, m, ends) * N + n);
}

// Thread j N + n: number j of token n.
template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    sum_slabs(StreamVectors s, long N, int slabs, const Real* sums, const Real* totals, Real* u) {
    const long thread = static_cast<long>(blockIdx.x) * kRunThreads + threadIdx.x, n = thread % N;
    const int j = static_cast<int>(thread / N), products = s.rows_of_token() * s.m,
              numbers = WriteDots::numbers(s.streams, s.m, s.end_to_end);
    if (j >= numbers) return;
    Real sum = 0;
    for (int slab = 0; slab < slabs; ++slab)
        sum += sums[(static_cast<long>(slab) * numbers + j) * N + n];
    const int moment = j - products, k = s.end_to_end ? 0 : moment / 2;
    const int place = j < products                 ? s.projection[j / s.m] + j % s.m
                      : s.end_to_end || moment % 2 ? s.square[k]
                                                   : s.sum[k];
    if (place >= 0) u[place * N + n] = sum;
    if (j < s.m && s.total[j] >= 0) u[s.total[j] * N + n] = totals[j];
}

}  // namespace plumb::gpu
