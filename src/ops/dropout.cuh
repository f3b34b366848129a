// Dropout on a GPU (ops/dropout.h): x *= 0 or factor, in place.
//
// Layout: x (N, C) of type T. Who computes what: core/runs.cuh; columns 8 i .. 8 i + 7 of a row, a
// thread's run, are the eight halves of Philox's counter (i, row, stream), so a thread makes its
// part of the mask with one call: the CPU's bits, whatever the launch. Bytes: 2 + 2 a number in
// bf16. Instructions: a call is about 100, 13 a number, of the 50 that these bytes leave time for.
// Rows are below 2^32.
#pragma once

#include "core/philox.cuh"
#include "core/runs.cuh"
#include "ops/dropout.h"

namespace plumb::gpu {

struct DropoutArgs {  // of a Dropout
    std::uint64_t seed, stream;
    std::uint32_t threshold;  // 0: nothing is dropped
    double factor;
};
inline DropoutArgs dropout_args(const Dropout& d) {
    return {d.seed, d.stream, d.threshold(), d.factor()};
}

// keep[j] = 0 or the factor, of column 8 run + j of a row.
template <class Real>
__device__ inline void dropout_run(const DropoutArgs& d, long row, long run, Real (&keep)[kRun]) {
    const Philox counter{{static_cast<std::uint32_t>(run), static_cast<std::uint32_t>(row),
                          static_cast<std::uint32_t>(d.stream),
                          static_cast<std::uint32_t>(d.stream >> 32)}};
    const Philox bits = philox(counter, static_cast<std::uint32_t>(d.seed),
                               static_cast<std::uint32_t>(d.seed >> 32));
    const Real kept = static_cast<Real>(d.factor);
#pragma unroll
    for (int k = 0; k < kRun / 2; ++k) {
        keep[2 * k] = (bits.word[k] & 0xFFFFu) < d.threshold ? Real(0) : kept;
        keep[2 * k + 1] = (bits.word[k] >> 16) < d.threshold ? Real(0) : kept;
    }
}

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads) drop(long N, long C, DropoutArgs d, T* x) {
    using Real = RealOf<T>;
    const RunPlace at(N, C);
    T* p = x + at.n * C + at.c;
    Real numbers[kRun], keep[kRun];
    load_run<whole>(static_cast<const T*>(p), at.count, numbers);
    dropout_run(d, at.n, at.c / kRun, keep);
#pragma unroll
    for (int j = 0; j < kRun; ++j) numbers[j] *= keep[j];
    store_run<whole>(numbers, at.count, p);
}

template <class T>
void dropout(cudaStream_t stream, long N, long C, const DropoutArgs& d, T* x) {
    launch_runs(stream, "dropout", N, C, whole_runs(x, C) ? drop<T, true> : drop<T, false>, N, C, d,
                x);
}

}  // namespace plumb::gpu
