// Averages on a GPU (averages.h has the equations), one kernel a site and direction:
//
//     read            h += v;  at the end of block k: X_k = h,  h = a[k,k] h + sum_j a[k,j] X_j;
//                     xhat = h / rms(h),  x = xhat gain
//     read_backward   D from the norm;  dh += D;  at the end of block k, with dY_k = dh:
//                     dh = a[k,k] dY_k + sum_k' a[k',k] dY_k',  da[k',k] = sum <X_k, dY_k'>;
//                     dv = dh
//
// Averages are made one by one, from all their rows, and pulled the same way.
//
// Layout: v, X_k, dY_k, xhat, x, dx, dv (N, C) of type T; h, dh (N, C) in RealOf<T>. Who computes
// what: core/row.cuh. Sums over tokens of da: over the warp at once, then lane i % 32 keeps sum i
// of its warp's tokens; warps of a block are added in order, one row a block. Bytes a token, d = 2
// C in bf16: those of running_row.cuh and 1d a row that an average takes in; X_k 1d written, in
// backward 1d read and dY_k 1d written. 2 and 4 C flops a row.
#pragma once

#include "ops/pre_norm.cuh"

namespace plumb::gpu {

inline constexpr int kMostAveraged = 64;  // rows

// Rows with weight w[weight[i]] each.
template <class T>
struct AveragedRows {
    const T* row[kMostAveraged] = {};
    int weight[kMostAveraged] = {};
    int count = 0;
    int own = -1;  // the weight of X_k itself; -1: Y_k is X_k
};

// x: where X_k is left, or null.
template <class T, int V, bool whole>
__global__ void __launch_bounds__(256, 1)
    average_read(long N, int C, int W, bool first, const T* v, RealOf<T>* h, T* x,
                 AveragedRows<T> rows, const RealOf<T>* w, NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> a, sum;
        load(v + n * C, at, live, a);
        load(static_cast<const Real*>(h) + n * C, at, live && !first, sum);
        axpy(Real(1), a, sum);
        if (x) store(sum, at, live, x + n * C);
        if (rows.own >= 0) scale(w[rows.own], sum);
#pragma unroll 2
        for (int i = 0; i < rows.count; ++i) {
            load(rows.row[i] + n * C, at, live, a);
            axpy(w[rows.weight[i]], a, sum);
        }
        store(sum, at, live, h + n * C);
        norm_put(norm, g, at, n, live, sum);
    }
}

template <class Real>
struct AverageSums {  // in shared memory
    Real x[kMaxWarps][kMostAveraged + 32];
};
// Sum i of a warp is with lane i % 32.
template <class Real>
struct WarpSums {
    Real mine[kMostAveraged / 32 + 1] = {};

    // All lanes of a warp, each with its part.
    __device__ void add(int i, Real part) {
#pragma unroll
        for (int m = 16; m > 0; m >>= 1) part += __shfl_xor_sync(~0u, part, m);
#pragma unroll
        for (int k = 0; k <= kMostAveraged / 32; ++k)
            if (i == 32 * k + lane_id()) mine[k] += part;
    }
    // part (blocks, n): of the block's warps, in order. The block's last act.
    __device__ void store(int n, AverageSums<Real>& memory, Real* part) const {
#pragma unroll
        for (int k = 0; k <= kMostAveraged / 32; ++k)
            memory.x[threadIdx.x >> 5][32 * k + lane_id()] = mine[k];
        __syncthreads();
        const int i = static_cast<int>(threadIdx.x);
        if (i >= n) return;
        Real sum = 0;
        for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += memory.x[warp][i];
        part[static_cast<long>(blockIdx.x) * n + i] = sum;
    }
};

// x: X_k, null where nothing mixes it; rows: the dY that do. dy: where dY_k is left, the memory of
// xhat, or null. da_part (blocks, rows and X_k itself), dgain_part (blocks, C; null: raw).
template <class T, int V, bool whole>
__global__ void __launch_bounds__(256, 1)
    average_read_backward(long N, int C, int W, bool last, RealOf<T>* dh, T* dv, const T* x, T* dy,
                          AveragedRows<T> rows, const RealOf<T>* w, RealOf<T>* da_part,
                          RealOf<T>* dgain_part, NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    using Sum = BlockRow<Real, V>;
    PLUMB_SHARED(Sum, block_row);
    PLUMB_SHARED(AverageSums<Real>, block_sums);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    Row<Real, V> dgain;
    clear(dgain);
    WarpSums<Real> da;
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> d, sum, xk;
        norm_gradient<true>(norm, g, at, n, live, d, dgain);
        load(static_cast<const Real*>(dh) + n * C, at, live && !last, sum);
        axpy(Real(1), d, sum);
        if (x) load(x + n * C, at, live, xk);
        if (rows.own >= 0) {
            store(sum, at, live, dy + n * C);
            da.add(rows.count, dot(xk, sum));
            scale(w[rows.own], sum);
        }
#pragma unroll 2
        for (int i = 0; i < rows.count; ++i) {
            load(rows.row[i] + n * C, at, live, d);
            da.add(i, dot(xk, d));
            axpy(w[rows.weight[i]], d, sum);
        }
        store(sum, at, live, dh + n * C);
        if constexpr (!std::is_same_v<T, Real>) store(sum, at, live, dv + n * C);
    }
    if (dgain_part) store_block_sum(dgain, g, at, block_row, dgain_part);
    if (x) da.store(rows.count + (rows.own >= 0 ? 1 : 0), block_sums, da_part);
}

}  // namespace plumb::gpu
