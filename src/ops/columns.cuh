// Columns of a matrix on a GPU (ops/columns.h).
//
//     put, take      part (N, P) to and from columns of whole (N, Q)
//     add_last       the last P columns of to += scale times those of from
//     its backward   dfrom (N, P) = or += scale d, dscale += <from, d>, d the last P of dto
//     add_to_last    the last P columns of to += x (N, P)
//
// Who computes what: core/runs.cuh, a thread 8 columns; whole runs where the first column and the
// widths are multiples of 8. Backward: a block a chunk of 64 tokens, whose sum is one number of
// sums; those are added in order. Bytes: each number read and written once. Flops: 2 to 4 a number.
#pragma once

#include "ops/reduce.cuh"

namespace plumb::gpu {

inline constexpr long kChunk = 64;  // tokens a number of sums is of: kTokenChunk of core/context.h

template <class T>
void put_columns(cudaStream_t stream, long N, long P, const T* part, long first, long Q, T* whole) {
    copy_rows(stream, N, P, part, P, whole + first, Q);
}
template <class T>
void take_columns(cudaStream_t stream, long N, long P, const T* whole, long Q, long first,
                  T* part) {
    copy_rows(stream, N, P, whole + first, Q, part, P);
}

// y += scale x, rows y_stride and x_stride apart. scale (1), or null for 1.
template <class X, class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    add_runs(long N, long P, const X* x, long x_stride, const RealOf<T>* scale, T* y,
             long y_stride) {
    using Real = RealOf<T>;
    const RunPlace at(N, P);
    const Real s = scale ? *scale : Real(1);
    T* to = y + at.n * y_stride + at.c;
    Real a[kRun], b[kRun];
    load_run<whole>(x + at.n * x_stride + at.c, at.count, a);
    load_run<whole>(static_cast<const T*>(to), at.count, b);
#pragma unroll
    for (int j = 0; j < kRun; ++j) b[j] += s * a[j];
    store_run<whole>(b, at.count, to);
}

template <class X, class T>
void add_rows(cudaStream_t stream, const char* name, long N, long P, const X* x, long x_stride,
              const RealOf<T>* scale, T* y, long y_stride) {
    const bool whole = whole_runs(x, x_stride) && whole_runs(y, y_stride);
    launch_runs(stream, name, N, P, whole ? add_runs<X, T, true> : add_runs<X, T, false>, N, P, x,
                x_stride, scale, y, y_stride);
}

template <class T>
void add_last_columns(cudaStream_t stream, long N, long P, const T* from, long from_width,
                      const RealOf<T>* scale, T* to, long to_width) {
    add_rows<T, T>(stream, "add_last_columns", N, P, from + from_width - P, from_width, scale,
                   to + to_width - P, to_width);
}
template <class T>
void add_to_last_columns(cudaStream_t stream, long N, long P, const RealOf<T>* x, T* to,
                         long to_width) {
    add_rows<RealOf<T>, T>(stream, "add_to_last_columns", N, P, x, P, nullptr, to + to_width - P,
                           to_width);
}

// ---- backward -----------------------------------------------------------------------------------

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    add_runs_backward(long N, long P, const T* from, long from_stride, const RealOf<T>* scale,
                      const T* d, long d_stride, bool add, RealOf<T>* sums, RealOf<T>* dfrom) {
    using Real = RealOf<T>;
    PLUMB_SHARED(BlockMemory<Real>, memory);
    const long first = blockIdx.x * kChunk, tokens = N - first < kChunk ? N - first : kChunk,
               runs = (P + kRun - 1) / kRun;
    const Real s = *scale;
    Real sum = 0;
    for (long i = threadIdx.x; i < tokens * runs; i += kRunThreads) {
        const long n = first + i / runs, c = i % runs * kRun;
        const int count = P - c < kRun ? static_cast<int>(P - c) : kRun;
        Real* to = dfrom + n * P + c;
        Real x[kRun], y[kRun], dx[kRun] = {};
        load_run<whole>(from + n * from_stride + c, count, x);
        load_run<whole>(d + n * d_stride + c, count, y);
        if (add) load_run<whole>(static_cast<const Real*>(to), count, dx);
#pragma unroll
        for (int j = 0; j < kRun; ++j) {
            sum += y[j] * x[j];
            dx[j] += s * y[j];
        }
        store_run<whole>(dx, count, to);
    }
    sum = block_sum(sum, memory);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// sums (a number for every kChunk tokens) is scratch.
template <class T>
void add_last_columns_backward(cudaStream_t stream, long N, long P, const T* from, long from_width,
                               const RealOf<T>* scale, const T* dto, long to_width, bool add,
                               RealOf<T>* sums, RealOf<T>* dscale, RealOf<T>* dfrom) {
    if (N == 0) return;
    const T *x = from + from_width - P, *d = dto + to_width - P;
    const bool whole = whole_runs(x, from_width) && whole_runs(d, to_width) && whole_runs(dfrom, P);
    const long chunks = (N + kChunk - 1) / kChunk;
    launch(stream, "add_last_columns_backward",
           whole ? add_runs_backward<T, true> : add_runs_backward<T, false>,
           {static_cast<unsigned>(chunks), kRunThreads}, N, P, x, from_width, scale, d, to_width,
           add, sums, dfrom);
    add_partials<RealOf<T>>(stream, chunks, 1, sums, dscale);
}

}  // namespace plumb::gpu
