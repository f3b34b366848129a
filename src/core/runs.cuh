// Numbers eight at a time: the vocabulary of kernels that treat a matrix (N, C) as so many numbers.
//
// Mapping. A thread takes one run of 8 neighbours of a row, the threads of a grid the runs in
// order, row by row; an array without rows is a matrix of one row. `whole` runs, which start at 16
// bytes, are read and written by 16-byte accesses, others number by number; numbers past the end of
// a row are neither read nor written. One trip: a thread carries nothing on. Numbers and rows are
// `long`: N C passes 2^31.
//
// Sums over a block or a grid have one order, that of the threads: the same bits in every run.
#pragma once

#include "core/launch.h"
#include "core/row.cuh"

namespace plumb::gpu {

inline constexpr unsigned kRunThreads = 256;

// Whether runs of rows that start at p, `stride` numbers apart, are whole. A stride of 0: one row.
template <class T>
bool whole_runs(const T* p, long stride) {
    return reinterpret_cast<std::uintptr_t>(p) % alignof(Run<T>) == 0 && stride % kRun == 0;
}

struct RunPlace {  // of a thread
    long n, c;     // row, and the first number's place in it
    int count;     // numbers there are: 0 to 8

    __device__ RunPlace(long N, long C) {
        const long runs = (C + kRun - 1) / kRun;
        const long i = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
        n = i / runs;
        c = kRun * (i - n * runs);
        count = n >= N ? 0 : C - c < kRun ? static_cast<int>(C - c) : kRun;
    }
};

// Starts a kernel with a thread for each run of (N, C); none where there is no number.
template <class... P, class... A>
void launch_runs(cudaStream_t stream, const char* name, long N, long C, void (*kernel)(P...),
                 A&&... args) {
    const long runs = N * ((C + kRun - 1) / kRun);
    if (runs == 0) return;
    const auto blocks = static_cast<unsigned>((runs + kRunThreads - 1) / kRunThreads);
    launch(stream, name, kernel, {blocks, kRunThreads}, std::forward<A>(args)...);
}

// Zeros past `count`.
template <bool whole, class T>
__device__ inline void load_run(const T* p, int count, RealOf<T> (&x)[kRun]) {
    if (whole && count == kRun) {
        const Run<T> run = *reinterpret_cast<const Run<T>*>(p);  // a copy: read at once
        return unpack(run, x);
    }
#pragma unroll
    for (int j = 0; j < kRun; ++j) x[j] = j < count ? RealOf<T>(p[j]) : RealOf<T>(0);
}
template <bool whole, class T>
__device__ inline void store_run(const RealOf<T> (&x)[kRun], int count, T* p) {
    if (whole && count == kRun) {
        Run<T> run;
        pack(x, run);
        store_at_once(run, p);
        return;
    }
#pragma unroll
    for (int j = 0; j < kRun; ++j)
        if (j < count) p[j] = static_cast<T>(x[j]);
}

// ---- over a block -------------------------------------------------------------------------------

template <class Real>
struct BlockMemory {  // in shared memory
    Real part[32];
};

// One number of every thread of a block of whole warps, combined by both(a, b), which commutes:
// lanes in pairs, then warps in order. Known to all threads.
template <class Real, class F>
__device__ inline Real over_block(Real x, BlockMemory<Real>& memory, F&& both) {
#pragma unroll
    for (int m = 16; m > 0; m >>= 1) x = both(x, __shfl_xor_sync(~0u, x, m));
    __syncthreads();  // what the call before left may still be read
    if (lane_id() == 0) memory.part[threadIdx.x >> 5] = x;
    __syncthreads();
    x = memory.part[0];
    for (unsigned w = 1; w < blockDim.x >> 5; ++w) x = both(x, memory.part[w]);
    return x;
}
template <class Real>
__device__ inline Real block_sum(Real x, BlockMemory<Real>& memory) {
    return over_block(x, memory, [](Real a, Real b) { return a + b; });
}

}  // namespace plumb::gpu
