// Rows of numbers, and reductions, on a GPU (ops/reduce.h).
//
//     copy, widen    y = x;  rows of x may lie further apart than they are long
//     add_partials   out[c] += sum over k of partial[k][c],    partial (P, C)
//     total_dot      sum = <a, b>
//     all_finite     count = how many numbers are a NaN or an infinity
//
// Who computes what. Copies: core/runs.cuh. add_partials: a block 8 neighbouring columns, which a
// row of 4-byte numbers has in one sector of 32 bytes; each column is cut into 32 slices of rows, a
// thread a slice, and the slices' sums are added in order: a column of 1000 rows is 32 loads deep
// instead of 1000. total_dot, all_finite: at most kDotBlocks blocks, a number that n alone decides;
// a thread takes runs of 8 (added in RealOf<T>, the runs in double), then the block's threads are
// added, then a second kernel of one block adds the blocks. The CPU cuts elsewhere: other bits.
// Bytes: what is read and written, once. Flops: one or two a number.
#pragma once

#include "core/runs.cuh"

namespace plumb::gpu {

// ---- copies -------------------------------------------------------------------------------------

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    copy_runs(long N, long C, const T* x, long x_stride, T* y, long y_stride) {
    const RunPlace at(N, C);
    const T* from = x + at.n * x_stride + at.c;
    T* to = y + at.n * y_stride + at.c;
    if (whole && at.count == kRun) {
        *reinterpret_cast<Run<T>*>(to) = *reinterpret_cast<const Run<T>*>(from);
        return;
    }
#pragma unroll
    for (int j = 0; j < kRun; ++j)
        if (j < at.count) to[j] = from[j];
}

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads) widen_runs(long n, const T* x, RealOf<T>* y) {
    const RunPlace at(1, n);
    RealOf<T> numbers[kRun];
    load_run<whole>(x + at.c, at.count, numbers);
    store_run<whole>(numbers, at.count, y + at.c);
}

// y (N, C) = x (N, C), rows y_stride and x_stride apart.
template <class T>
void copy_rows(cudaStream_t stream, long N, long C, const T* x, long x_stride, T* y,
               long y_stride) {
    const bool whole = whole_runs(x, x_stride) && whole_runs(y, y_stride);
    launch_runs(stream, "copy", N, C, whole ? copy_runs<T, true> : copy_runs<T, false>, N, C, x,
                x_stride, y, y_stride);
}
template <class T>
void copy(cudaStream_t stream, long n, const T* x, T* y) {
    copy_rows(stream, 1, n, x, 0, y, 0);
}
template <class T>
void widen(cudaStream_t stream, long n, const T* x, RealOf<T>* y) {
    const bool whole = whole_runs(x, 0) && whole_runs(y, 0);
    launch_runs(stream, "widen", 1, n, whole ? widen_runs<T, true> : widen_runs<T, false>, n, x, y);
}
template <class Real>
void clear(cudaStream_t stream, long n, Real* x) {  // zeros are bytes of 0
    if (n > 0)
        check(cudaMemsetAsync(x, 0, static_cast<std::size_t>(n) * sizeof(Real), stream), "clear");
}

// ---- sums of columns ----------------------------------------------------------------------------

inline constexpr int kColumns = 8, kSlices = 32;  // of a block

template <class Real>
struct SliceSums {  // in shared memory
    Real part[kSlices][kColumns];
};

template <class Real>
__global__ void __launch_bounds__(kColumns* kSlices)
    add_columns(long P, long C, const Real* partial, Real* out) {
    PLUMB_SHARED(SliceSums<Real>, memory);
    const int column = static_cast<int>(threadIdx.x) % kColumns,
              slice = static_cast<int>(threadIdx.x) / kColumns;
    const long c = static_cast<long>(blockIdx.x) * kColumns + column,
               rows = (P + kSlices - 1) / kSlices, first = slice * rows;
    Real sum = 0;
    if (c < C)
#pragma unroll 8
        for (long k = first; k < (first + rows < P ? first + rows : P); ++k)
            sum += partial[k * C + c];
    memory.part[slice][column] = sum;
    __syncthreads();
    if (slice > 0 || c >= C) return;
    sum = out[c];
#pragma unroll
    for (int s = 0; s < kSlices; ++s) sum += memory.part[s][column];
    out[c] = sum;
}

template <class Real>
void add_partials(cudaStream_t stream, long P, long C, const Real* partial, Real* out) {
    if (C == 0) return;
    launch(stream, "add_partials", add_columns<Real>,
           {static_cast<unsigned>((C + kColumns - 1) / kColumns), kColumns * kSlices}, P, C,
           partial, out);
}

// ---- sums of everything -------------------------------------------------------------------------

inline constexpr unsigned kDotBlocks = 1024, kSumThreads = 1024;

// part[block] = the block's sum of f(x, y) over runs x of a and y of b, each of 8 numbers, zeros
// past the end.
template <bool whole, class T, class F>
__device__ inline void sum_runs(long n, const T* a, const T* b, double* part, F&& f) {
    PLUMB_SHARED(BlockMemory<double>, memory);
    const long step = static_cast<long>(gridDim.x) * kRunThreads * kRun;
    double sum = 0;
    for (long c = (static_cast<long>(blockIdx.x) * kRunThreads + threadIdx.x) * kRun; c < n;
         c += step) {
        const int count = n - c < kRun ? static_cast<int>(n - c) : kRun;
        RealOf<T> x[kRun], y[kRun];
        load_run<whole>(a + c, count, x);
        load_run<whole>(b + c, count, y);
        sum += static_cast<double>(f(x, y));
    }
    sum = block_sum(sum, memory);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    dot_runs(long n, const T* a, const T* b, double* part) {
    using Real = RealOf<T>;
    sum_runs<whole>(n, a, b, part, [](const Real(&x)[kRun], const Real(&y)[kRun]) {
        Real sum = 0;
#pragma unroll
        for (int j = 0; j < kRun; ++j) sum += x[j] * y[j];
        return sum;
    });
}

template <class Real, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    count_not_finite(long n, const Real* x, double* part) {
    sum_runs<whole>(n, x, x, part, [](const Real(&a)[kRun], const Real(&)[kRun]) {
        int count = 0;
#pragma unroll
        for (int j = 0; j < kRun; ++j) count += !(a[j] - a[j] == 0);
        return count;
    });
}

// The sum of n numbers, by a block: known to all its threads.
template <class Real>
__device__ inline double sum_of(long n, const Real* x, BlockMemory<double>& memory) {
    double sum = 0;
#pragma unroll 4
    for (long i = threadIdx.x; i < n; i += blockDim.x) sum += static_cast<double>(x[i]);
    return block_sum(sum, memory);
}

static __global__ void __launch_bounds__(kSumThreads)
    add_blocks(long blocks, const double* part, double* sum) {
    PLUMB_SHARED(BlockMemory<double>, memory);
    const double all = sum_of(blocks, part, memory);
    if (threadIdx.x == 0) *sum = all;
}

inline unsigned dot_blocks(long n) {
    const long runs = (n + kRun - 1) / kRun, blocks = (runs + kRunThreads - 1) / kRunThreads;
    return blocks < kDotBlocks ? static_cast<unsigned>(blocks > 0 ? blocks : 1) : kDotBlocks;
}

// sum (1) of n products; part (kDotBlocks) is scratch.
template <class T>
void total_dot(cudaStream_t stream, long n, const T* a, const T* b, double* part, double* sum) {
    const bool whole = whole_runs(a, 0) && whole_runs(b, 0);
    const unsigned blocks = dot_blocks(n);
    launch(stream, "total_dot", whole ? dot_runs<T, true> : dot_runs<T, false>,
           {blocks, kRunThreads}, n, a, b, part);
    launch(stream, "total_dot: blocks", add_blocks, {1, kSumThreads}, blocks, part, sum);
}

// count (1) of the numbers that are not finite; part (kDotBlocks) is scratch.
template <class Real>
void not_finite(cudaStream_t stream, long n, const Real* x, double* part, double* count) {
    const unsigned blocks = dot_blocks(n);
    launch(stream, "all_finite",
           whole_runs(x, 0) ? count_not_finite<Real, true> : count_not_finite<Real, false>,
           {blocks, kRunThreads}, n, x, part);
    launch(stream, "all_finite: blocks", add_blocks, {1, kSumThreads}, blocks, part, count);
}

}  // namespace plumb::gpu
