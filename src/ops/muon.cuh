// What Muon does with numbers one by one, on a GPU (ops/muon.h); its products are a matrix
// library's.
//
//     look_ahead      B = mu B + s G,  x = s G + mu B;  nothing where s is 0
//     normalise       x = x / (sqrt(square) + eps)
//     add_diagonal    x (k, k) += a I
//     update          w = keep w - rate u;  nothing where s is 0
//
// Layout: matrices as arrays in Real. Who computes what: core/runs.cuh. Bytes a number, float: 16,
// 8, none, 12, and 2 for the copy of w in bf16 where asked for. Flops: up to 4. s and square are
// device scalars.
#pragma once

#include "core/runs.cuh"

namespace plumb::gpu {

template <class Real, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    look_ahead_runs(long n, Real mu, const double* s, const Real* grad, Real* momentum, Real* x) {
    if (*s == 0) return;
    const Real scale = static_cast<Real>(*s);
    const RunPlace at(1, n);
    Real g[kRun], b[kRun];
    load_run<whole>(grad + at.c, at.count, g);
    load_run<whole>(static_cast<const Real*>(momentum) + at.c, at.count, b);
#pragma unroll
    for (int j = 0; j < kRun; ++j) {
        g[j] *= scale;
        b[j] = mu * b[j] + g[j];
        g[j] += mu * b[j];
    }
    store_run<whole>(b, at.count, momentum + at.c);
    store_run<whole>(g, at.count, x + at.c);
}

template <class Real, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    normalise_runs(long n, const double* square, double eps, Real* x) {
    const Real scale = static_cast<Real>(1 / (sqrt(*square) + eps));
    const RunPlace at(1, n);
    Real a[kRun];
    load_run<whole>(static_cast<const Real*>(x) + at.c, at.count, a);
#pragma unroll
    for (int j = 0; j < kRun; ++j) a[j] *= scale;
    store_run<whole>(a, at.count, x + at.c);
}

template <class Real>
__global__ void __launch_bounds__(kRunThreads) add_to_diagonal(long k, Real a, Real* x) {
    const long i = static_cast<long>(blockIdx.x) * kRunThreads + threadIdx.x;
    if (i < k) x[i * k + i] += a;
}

template <class Real, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    update_runs(long n, const double* s, Real keep, Real rate, const Real* u, Real* w, Bf16* copy) {
    if (*s == 0) return;
    const RunPlace at(1, n);
    Real a[kRun], b[kRun];
    load_run<whole>(u + at.c, at.count, a);
    load_run<whole>(static_cast<const Real*>(w) + at.c, at.count, b);
#pragma unroll
    for (int j = 0; j < kRun; ++j) b[j] = keep * b[j] - rate * a[j];
    store_run<whole>(b, at.count, w + at.c);
    if constexpr (sizeof(Real) == 4)
        if (copy) store_run<whole>(b, at.count, copy + at.c);
}

template <class Real>
void muon_look_ahead(cudaStream_t stream, long n, Real mu, const double* s, const Real* grad,
                     Real* momentum, Real* x) {
    const bool whole = whole_runs(grad, 0) && whole_runs(momentum, 0) && whole_runs(x, 0);
    launch_runs(stream, "muon_look_ahead", 1, n,
                whole ? look_ahead_runs<Real, true> : look_ahead_runs<Real, false>, n, mu, s, grad,
                momentum, x);
}
template <class Real>
void muon_normalise(cudaStream_t stream, long n, const double* square, double eps, Real* x) {
    launch_runs(stream, "muon_normalise", 1, n,
                whole_runs(x, 0) ? normalise_runs<Real, true> : normalise_runs<Real, false>, n,
                square, eps, x);
}
template <class Real>
void muon_add_diagonal(cudaStream_t stream, long k, Real a, Real* x) {
    launch(stream, "muon_add_diagonal", add_to_diagonal<Real>,
           {static_cast<unsigned>((k + kRunThreads - 1) / kRunThreads), kRunThreads}, k, a, x);
}
// copy (n) in bf16, or null.
template <class Real>
void muon_update(cudaStream_t stream, long n, const double* s, Real keep, Real rate, const Real* u,
                 Real* w, Bf16* copy) {
    const bool whole = whole_runs(u, 0) && whole_runs(w, 0) && whole_runs(copy, 0);
    launch_runs(stream, "muon_update", 1, n,
                whole ? update_runs<Real, true> : update_runs<Real, false>, n, s, keep, rate, u, w,
                copy);
}

}  // namespace plumb::gpu
