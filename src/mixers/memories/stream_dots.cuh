// What rules of streams ask of X (stream_dots.h) on a GPU, around the products with X, which are
// cuBLASLt's. Rows r of X are its streams (R = N K rows of C channels, vectors of C for each alike)
// or, end to end, its tokens (R = N rows of K C channels):
//
//     pack_vectors      W (m, width) = the site's vectors,  <1, w>          then  P = W X^T
//     place_dots        u = P, moments, <1, w>, each where the rule has it
//     spread_gradients  G (m, R) = du of the projections                    then  Q = G X
//     dots_backward     dX[s] = sum_k A[k,s] dX'[k] + c[s] D
//                               + sum_i du_i[r] w_i + 2 d<x,x> X[s] + d<x,1>,
//                       dv = sum_k A_before[k,K] dX[k], v_{l-1}'s
//     sum_totals, add_stream_vectors dw_i += Q_i + sum over tokens of d<1,w_i>
//
// P and place_dots are for what stream_write_dots.cuh does not take as X is written: all of float.
// Where X is bf16, W and G are two numbers each, the second what rounding took from the first: so
// the products lose nothing of them, and have 2 m rows.
//
// Layout: X, dX, dv as in streams.cuh; P, G (m or 2 m, R rounded up to 8); Q (m or 2 m, width); u,
// du (numbers, N). Vectors are read where they lie, in the flat array of parameters.
//
// Who computes what. A block packs a vector; a thread places and spreads a number, and adds one of
// a gradient. dots_backward: a warp has a slab of 256 channels of four tokens (of wider types
// fewer, for 60 KiB of a block's shared memory hold their dX' and D), a thread eight of all their
// streams; the six warps of a block share the slab, so that vectors come from the first cache.
// Bytes a token, d = 2 C in bf16: P reads K d, Q K d, dots_backward (3 K + 2) d; flops 2 m K C each
// and 2 C K (K + 3). Against the vectors' m K 4 C, read once for 24 tokens, the rest is small.
#pragma once

#include "core/runs.cuh"
#include "mixers/memories/stream_dots.h"
#include "mixers/memories/streams.cuh"

namespace plumb::gpu {

// Of a site: as StreamDots, and where its vectors are.
struct StreamVectors {
    int streams, m, width;
    bool end_to_end;
    int square[kMaxStreams], sum[kMaxStreams], projection[kMaxStreams];
    int total[StreamDots::kMostVectors];  // the number that is <1, w>; -1: none
    long at[StreamDots::kMostVectors];    // in the flat array

    __device__ int rows_of_token() const { return end_to_end ? 1 : streams; }
};

// Rows of W, G, P, Q for a vector.
template <class T>
inline constexpr int kParts = std::is_same_v<T, Bf16> ? 2 : 1;

// x as `kParts` numbers, `step` apart.
template <class T>
__device__ inline void store_parts(RealOf<T> x, T* to, long step) {
    to[0] = static_cast<T>(x);
    if constexpr (kParts<T> == 2) to[step] = static_cast<T>(x - RealOf<T>(to[0]));
}

// ---- forward ------------------------------------------------------------------------------------

// A block a vector. packed (m or 2 m, width), totals (m).
template <class T>
__global__ void __launch_bounds__(kRunThreads)
    pack_vectors(StreamVectors s, const RealOf<T>* values, T* packed, RealOf<T>* totals) {
    using Real = RealOf<T>;
    PLUMB_SHARED(BlockMemory<Real>, memory);
    const int i = static_cast<int>(blockIdx.x);
    const long step = static_cast<long>(s.m) * s.width;
    const Real* w = values + s.at[i];
    Real sum = 0;
    for (int c = static_cast<int>(threadIdx.x); c < s.width; c += kRunThreads) {
        sum += w[c];
        store_parts<T>(w[c], packed + static_cast<long>(i) * s.width + c, step);
    }
    sum = block_sum(sum, memory);
    if (threadIdx.x == 0) totals[i] = sum;
}

// Thread j N + n: of token n the projections on vector j, or (j = m) the moments (K, 2, N).
template <class T>
__global__ void __launch_bounds__(kRunThreads)
    place_dots(StreamVectors s, long N, long ld, const RealOf<T>* products, const RealOf<T>* totals,
               const RealOf<T>* moments, RealOf<T>* u) {
    using Real = RealOf<T>;
    const long thread = static_cast<long>(blockIdx.x) * kRunThreads + threadIdx.x, n = thread % N;
    const int j = static_cast<int>(thread / N), rows = s.rows_of_token();
    if (j < s.m) {
        if (s.total[j] >= 0) u[s.total[j] * N + n] = totals[j];
        for (int r = 0; r < rows; ++r) {
            Real sum = 0;
            for (int part = 0; part < kParts<T>; ++part)
                sum += products[(part * s.m + j) * ld + n * rows + r];
            u[(s.projection[r] + j) * N + n] = sum;
        }
    } else if (j == s.m) {
        Real square = 0;
        for (int k = 0; k < s.streams; ++k) {
            square = moments[(2 * k + 1) * N + n] + (s.end_to_end ? square : Real(0));
            if (s.square[k] >= 0) u[s.square[k] * N + n] = square;
            if (s.sum[k] >= 0) u[s.sum[k] * N + n] = moments[2 * k * N + n];
        }
    }
}

// ---- backward -----------------------------------------------------------------------------------

// Thread i R + r.
template <class T>
__global__ void __launch_bounds__(kRunThreads)
    spread_gradients(StreamVectors s, long N, long ld, const RealOf<T>* du, T* spread) {
    const int rows = s.rows_of_token();
    const long thread = static_cast<long>(blockIdx.x) * kRunThreads + threadIdx.x, R = N * rows,
               i = thread / R, r = thread % R;
    if (i >= s.m) return;
    store_parts<T>(du[(s.projection[r % rows] + i) * N + r / rows], spread + i * ld + r, s.m * ld);
}

template <class T>
inline constexpr int kDotTokens = 8 / sizeof(T);  // of a warp
inline constexpr int kDotWarps = 6;
template <class T, int K>
Grid dots_backward_grid(long N, int C) {
    const long tokens = kDotTokens<T> * kDotWarps, groups = (N + tokens - 1) / tokens;
    return {static_cast<unsigned>(groups * ((C + 255) / 256)), 32 * kDotWarps,
            ring_bytes<T, K + 1, kDotTokens<T>>(32 * kDotWarps)};
}

// Adds to sum[t], of tokens `first` + t, the vectors' part of a run of stream k.
template <class T, bool whole>
__device__ inline void add_vectors_part(const StreamVectors& s, const RealOf<T>* values,
                                        const RealOf<T>* du, long N, int C, long first, int k,
                                        int c, RealOf<T> (&sum)[kDotTokens<T>][kRun]) {
    using Real = RealOf<T>;
#pragma unroll 2
    for (int i = 0; i < s.m; ++i) {
        Real w[kRun];
        load_run<whole>(values + s.at[i] + (s.end_to_end ? k * C : 0), c, C, true, w);
        const Real* by = du + (s.projection[k] + i) * N + first;
#pragma unroll
        for (int t = 0; t < kDotTokens<T>; ++t) {
            const Real factor = first + t < N ? by[t] : Real(0);
#pragma unroll
            for (int j = 0; j < kRun; ++j) sum[t][j] += factor * w[j];
        }
    }
}

// A run to shared memory, later; `any`: an address that a copy of nothing names.
template <bool whole, class T>
__device__ inline void take_later(const T* any, long at, int c, int C, bool live, Run<T>* to) {
    if constexpr (whole) {
        const char* from = reinterpret_cast<const char*>(live ? any + at + c : any);
#pragma unroll
        for (int b = 0; b < static_cast<int>(sizeof(Run<T>)); b += 16)
            copy_later(reinterpret_cast<char*>(to) + b, from + b, live);
    } else {
        *to = take_run<whole>(any + at, c, C, live);
    }
}

// dx comes as dX' (of `last`: as nothing), dv as D. Both of a warp's tokens come to shared memory
// while the vectors of the first stream are gone through; a thread reads what it had copied itself.
template <class T, int K, bool whole>
__global__ void __launch_bounds__(32 * kDotWarps, 2)
    dots_backward(long N, int C, bool last, StreamVectors s, const RealOf<T>* __restrict__ values,
                  const RealOf<T>* __restrict__ du, const RealOf<T>* __restrict__ scalars,
                  const RealOf<T>* __restrict__ before, const T* __restrict__ x, T* dx, T* dv) {
    using Real = RealOf<T>;
    constexpr int kTokens = kDotTokens<T>;
    const int slabs = (C + 255) / 256, c = kRun * lane_id() + 256 * (blockIdx.x % slabs);
    const long first =
        (static_cast<long>(blockIdx.x / slabs) * kDotWarps + threadIdx.x / 32) * kTokens;
    if (c >= C) return;
    Run<T>* mine = static_cast<Run<T>*>(dynamic_shared()) + threadIdx.x;
    const auto slot = [&](int t, int row) { return mine + (t * (K + 1) + row) * blockDim.x; };
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
        const long n = first + t;
        for (int k = 0; k < K; ++k)
            take_later<whole>(static_cast<const T*>(dx), (n * K + k) * C, c, C, n < N && !last,
                              slot(t, k));
        take_later<whole>(static_cast<const T*>(dv), n * C, c, C, n < N, slot(t, K));
    }
    close_group();
    Real value[kTokens][kRun] = {};
#pragma unroll 1
    for (int k = 0; k < K; ++k) {
        Real sum[kTokens][kRun] = {};
        add_vectors_part<T, whole>(s, values, du, N, C, first, k, c, sum);
        wait_for_groups<0>();
        const Real *by = scalars + k * N + first, *du_of = du + first;
        const T* from = x + (first * K + k) * C;
        T* to = dx + (first * K + k) * C;
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
            const bool live = first + t < N;
            Real in[kRun];
            const auto add = [&](bool there, const Real* factor, Real times) {
                const Real f = live && there ? times * *factor : Real(0);
#pragma unroll
                for (int j = 0; j < kRun; ++j) sum[t][j] += f * in[j];
            };
#pragma unroll
            for (int j = 0; j < kRun; ++j) in[j] = 1;
            add(s.sum[k] >= 0, du_of + s.sum[k] * N + t, 1);
            load_run<whole>(from + t * K * C, c, C, live, in);
            add(s.square[k] >= 0, du_of + s.square[k] * N + t, 2);
            unpack(*slot(t, K), in);
            add(true, by + t, 1);
#pragma unroll
            for (int row = 0; row < K; ++row) {
                unpack(*slot(t, row), in);
                add(!last, by + mix_place<K>(row, 0) * N + t, 1);
            }
            const Real into = live && before ? before[mix_place<K>(k, K) * N + first + t] : Real(1);
#pragma unroll
            for (int j = 0; j < kRun; ++j) value[t][j] += into * sum[t][j];
            store_run<whole>(sum[t], c, C, live, to + t * K * C);
        }
    }
#pragma unroll
    for (int t = 0; t < kTokens; ++t)
        store_run<whole>(value[t], c, C, first + t < N, dv + (first + t) * C);
}

// A block a vector: the sum over tokens of the gradient of <1, w>, 0 where it is not asked for.
template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    sum_totals(StreamVectors s, long N, const Real* du, Real* sums) {
    PLUMB_SHARED(BlockMemory<double>, memory);
    const int total = s.total[blockIdx.x];
    double sum = 0;
    for (long n = threadIdx.x; total >= 0 && n < N; n += kRunThreads)
        sum += static_cast<double>(du[total * N + n]);
    sum = block_sum(sum, memory);
    if (threadIdx.x == 0) sums[blockIdx.x] = static_cast<Real>(sum);
}

// Thread i width + c.
template <class T>
__global__ void __launch_bounds__(kRunThreads)
    add_stream_vectors(StreamVectors s, const RealOf<T>* products, const RealOf<T>* totals,
                       RealOf<T>* gradients) {
    const long thread = static_cast<long>(blockIdx.x) * kRunThreads + threadIdx.x,
               i = thread / s.width, all = static_cast<long>(s.m) * s.width;
    if (i >= s.m) return;
    RealOf<T> sum = totals[i];
    for (int part = 0; part < kParts<T>; ++part) sum += products[part * all + thread];
    gradients[s.at[i] + thread % s.width] += sum;
}

}  // namespace plumb::gpu
