// Softmax cross-entropy on a GPU (ops/cross_entropy.h), alone or with its gradient:
//
//     loss[n] = max_n + log sum_i e^(z[n][i] - max_n) - z[n][target_n]
//     dz[n]   = scale / scored (softmax(z[n]) - onehot(target_n))
//
// and 0 where target_n < 0. Layout: logits z (N, V) in RealOf<T>, dz (N, V) of type T, the same
// memory if the types are. Who computes what: a block a token; a thread takes every threads-th run
// of its row, of 8 numbers where rows allow 16-byte accesses, else of one (V = 50257), so that a
// warp reads neighbours either way. First pass: maximum and sum of each thread at once, rescaled
// when the maximum grows; then those of the block; second pass: dz, from the logits again, which
// the cache still has when a few hundred rows are done at a time (model/head.h's chunks). Bytes a
// logit: 4 read, and with the gradient sizeof(T) written. Flops: two exponentials and about 10
// more. A NaN in a row makes its loss and its gradient NaN.
//
// Sums of losses and of targets: one block, one order.
#pragma once

#include "ops/reduce.cuh"

namespace plumb::gpu {

inline constexpr unsigned kLogitThreads = 512;

// The lowest number: of no logits. An infinity would make a NaN of the first difference.
template <class Real>
__device__ inline Real lowest() {
    return sizeof(Real) == 4 ? Real(-3.4028234e38) : Real(-1.7976931348623157e308);
}

// The sum of e^(z - max) so far.
template <class Real>
struct Mass {
    Real max, sum;
    template <int run>
    __device__ void add(const Real (&z)[run], int count) {
        Real most = max;
#pragma unroll
        for (int j = 0; j < run; ++j) most = j < count && z[j] > most ? z[j] : most;
        sum *= weight(max - most);
        max = most;
#pragma unroll
        for (int j = 0; j < run; ++j)
            if (j < count) sum += weight(z[j] - max);
    }
};

template <class Real>
struct MassMemory {  // in shared memory
    BlockMemory<Real> max, sum;
};

// A row of V numbers in runs.
template <int run, class T>
__device__ inline void load_logits(const T* row, long i, int count, RealOf<T> (&x)[run]) {
    if constexpr (run == kRun)
        load_run<true>(row + i, count, x);
    else
        x[0] = RealOf<T>(row[i]);
}
template <int run, class T>
__device__ inline void store_logits(const RealOf<T> (&x)[run], long i, int count, T* row) {
    if constexpr (run == kRun)
        store_run<true>(x, count, row + i);
    else
        row[i] = static_cast<T>(x[0]);
}

// f(i, numbers) for this thread's runs of a row.
template <int run, class F>
__device__ inline void for_logits(long V, F&& f) {
    for (long i = static_cast<long>(threadIdx.x) * run; i < V;
         i += static_cast<long>(blockDim.x) * run)
        f(i, V - i < run ? static_cast<int>(V - i) : run);
}

template <int run, class Real>
__device__ inline Mass<Real> mass_of(const Real* z, long V, MassMemory<Real>& memory) {
    Mass<Real> mine{lowest<Real>(), 0};
    for_logits<run>(V, [&](long i, int count) {
        Real x[run];
        load_logits<run>(z, i, count, x);
        mine.add(x, count);
    });
    const Real max = over_block(mine.max, memory.max, [](Real a, Real b) { return b > a ? b : a; });
    return {max, block_sum(mine.sum * weight(mine.max - max), memory.sum)};
}

template <class T, int run, bool gradient>
__global__ void __launch_bounds__(kLogitThreads, 1)
    cross_entropy_rows(long V, const RealOf<T>* logits, const std::int32_t* targets,
                       RealOf<T>* losses, RealOf<T> scale, const double* scored, T* dlogits) {
    using Real = RealOf<T>;
    PLUMB_SHARED(MassMemory<Real>, memory);
    const long n = blockIdx.x;
    const std::int32_t target = targets[n];
    const Real* z = logits + n * V;
    T* dz = dlogits + n * V;
    if (target < 0) {
        if (threadIdx.x == 0) losses[n] = 0;
        if constexpr (gradient)
            for_logits<run>(V, [&](long i, int count) {
                const Real none[run] = {};
                store_logits<run>(none, i, count, dz);
            });
        return;
    }
    const Real own = z[target];  // before anybody writes: barriers follow
    const Mass<Real> all = mass_of<run>(z, V, memory);
    if (threadIdx.x == 0) losses[n] = all.max + log(all.sum) - own;
    if constexpr (gradient) {
        const Real share = scale / static_cast<Real>(*scored), factor = share / all.sum;
        for_logits<run>(V, [&](long i, int count) {
            Real x[run];
            load_logits<run>(z, i, count, x);
#pragma unroll
            for (int j = 0; j < run; ++j) {
                const Real e = weight(x[j] - all.max);
                x[j] = i + j == target ? share * (e / all.sum - 1) : factor * e;
            }
            store_logits<run>(x, i, count, dz);
        });
    }
}

template <class T, bool gradient>
void launch_cross_entropy(cudaStream_t stream, long N, long V, const RealOf<T>* logits,
                          const std::int32_t* targets, RealOf<T>* losses, RealOf<T> scale,
                          const double* scored, T* dlogits) {
    if (N == 0) return;
    const bool whole = whole_runs(logits, V) && whole_runs(dlogits, V);
    const long runs = whole ? V / kRun : V, threads = (runs + 31) / 32 * 32;
    launch(stream, gradient ? "cross_entropy_gradient" : "cross_entropy",
           whole ? cross_entropy_rows<T, kRun, gradient> : cross_entropy_rows<T, 1, gradient>,
           {static_cast<unsigned>(N),
            threads < kLogitThreads ? static_cast<unsigned>(threads) : kLogitThreads},
           V, logits, targets, losses, scale, scored, dlogits);
}

template <class Real>
void cross_entropy(cudaStream_t stream, long N, long V, const Real* logits,
                   const std::int32_t* targets, Real* losses) {
    launch_cross_entropy<Real, false>(stream, N, V, logits, targets, losses, Real(0), nullptr,
                                      nullptr);
}
template <class T>
void cross_entropy_gradient(cudaStream_t stream, long N, long V, const RealOf<T>* logits,
                            const std::int32_t* targets, RealOf<T>* losses, RealOf<T> scale,
                            const double* scored, T* dlogits) {
    launch_cross_entropy<T, true>(stream, N, V, logits, targets, losses, scale, scored, dlogits);
}

// ---- over tokens --------------------------------------------------------------------------------

static __global__ void __launch_bounds__(kSumThreads)
    count_scored(long N, const std::int32_t* targets, double* scored) {
    PLUMB_SHARED(BlockMemory<double>, memory);
    int mine = 0;
    for (long n = threadIdx.x; n < N; n += blockDim.x) mine += targets[n] >= 0;
    const double all = block_sum(static_cast<double>(mine), memory);
    if (threadIdx.x == 0) *scored = all;
}
template <class Real>
__global__ void __launch_bounds__(kSumThreads)
    mean_of(long N, const Real* losses, const double* scored, double* mean) {
    PLUMB_SHARED(BlockMemory<double>, memory);
    const double all = sum_of(N, losses, memory);
    if (threadIdx.x == 0) *mean = *scored > 0 ? all / *scored : 0.0;
}

inline void n_scored(cudaStream_t stream, long N, const std::int32_t* targets, double* scored) {
    launch(stream, "n_scored", count_scored, {1, kSumThreads}, N, targets, scored);
}
template <class Real>
void mean_loss(cudaStream_t stream, long N, const Real* losses, const double* scored,
               double* mean) {
    launch(stream, "mean_loss", mean_of<Real>, {1, kSumThreads}, N, losses, scored, mean);
}

}  // namespace plumb::gpu
