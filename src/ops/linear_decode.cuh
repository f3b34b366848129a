// Linear layer of few rows on a GPU (ops/linear_decode.h): y[n, o] = sum_i x[n, i] w[o, i].
//
// Layout: x (N, In) and y (N, Out) of type T, w (Out, In) in RealOf<T>. Who computes what: a warp
// takes one row of W; lane l its runs of 8 (core/runs.cuh) l, l + 32, ... A run, once loaded, meets
// the same run of kDecodeRows rows of x, which lie in the caches; rows beyond those are another
// trip over the row of W, which then lies in the first cache. Bytes: w once from memory. Flops: 2 N
// a weight.
//
// The order of a sum is that of the runs of a lane, then of lanes in pairs: it does not know how
// many rows there are, nor which place a row has among them, and fma says which operations round.
// Rows past the last are computed of zeros and not stored.
#pragma once

#include "core/runs.cuh"

namespace plumb::gpu {

inline constexpr int kDecodeRows = 4;

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    linear_decode(long N, long In, long Out, const T* x, const RealOf<T>* w, T* y) {
    using Real = RealOf<T>;
    const long o = (static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    if (o >= Out) return;  // a whole warp
    for (long base = 0; base < N; base += kDecodeRows) {
        Real sums[kDecodeRows] = {};
        for (long c = kRun * lane_id(); c < In; c += 32 * kRun) {
            const int count = In - c < kRun ? static_cast<int>(In - c) : kRun;
            Real of_w[kRun], of_x[kRun];
            load_run<whole>(w + o * In + c, count, of_w);
#pragma unroll
            for (int r = 0; r < kDecodeRows; ++r) {
                load_run<whole>(x + (base + r) * In + c, base + r < N ? count : 0, of_x);
#pragma unroll
                for (int j = 0; j < kRun; ++j) sums[r] = fma(of_x[j], of_w[j], sums[r]);
            }
        }
#pragma unroll
        for (int r = 0; r < kDecodeRows; ++r) {
#pragma unroll
            for (int m = 16; m > 0; m >>= 1) sums[r] += __shfl_xor_sync(~0u, sums[r], m);
            if (lane_id() == r && base + r < N) y[(base + r) * Out + o] = static_cast<T>(sums[r]);
        }
    }
}

template <class T>
void linear_decode(cudaStream_t stream, long N, long In, long Out, const T* x, const RealOf<T>* w,
                   T* y) {
    if (N == 0 || Out == 0) return;
    constexpr long outs = kRunThreads / 32;  // of a block
    const bool whole = whole_runs(x, In) && whole_runs(w, In);
    launch(stream, "linear_decode", whole ? linear_decode<T, true> : linear_decode<T, false>,
           {static_cast<unsigned>((Out + outs - 1) / outs), kRunThreads}, N, In, Out, x, w, y);
}

}  // namespace plumb::gpu
