// Weights of Linear<Bf16> (ops/linear.h) on a GPU: copy[i] = bf16(w[i]), made once an update, which
// both products with W read.
//
// Layout: n numbers of W (Out, In), and as many of the copy. Who computes what: core/runs.cuh.
// Bytes a number: 4 read, 2 written.
#pragma once

#include "core/runs.cuh"

namespace plumb::gpu {

template <bool whole>
__global__ void __launch_bounds__(kRunThreads) round_weights(long n, const float* w, Bf16* copy) {
    const RunPlace at(1, n);
    if (at.count == 0) return;
    float x[kRun];
    load_run<whole>(w + at.c, at.count, x);
    store_run<whole>(x, at.count, copy + at.c);
}

inline void round_weights(cudaStream_t stream, long n, const float* w, Bf16* copy) {
    const bool whole = whole_runs(w, 0) && whole_runs(copy, 0);
    launch_runs(stream, "round_weights", 1, n, whole ? round_weights<true> : round_weights<false>,
                n, w, copy);
}

}  // namespace plumb::gpu
