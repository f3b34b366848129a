// The pre-norm (ops/pre_norm.h) on a GPU: in kernels over rows the last act of a read, the first of
// its backward, on a row that is in registers; and what is asked of it apart from them:
//
//     apply_gain       x = xhat gain
//     norm_values      h = xhat / rstd
//     norm_gradients   D = rstd (g - xhat <g, xhat>/C),  g = dx gain
//     note_overflow    first = l, where it is 0 and an rstd is 0
//
// Layout: xhat, x, dx (N, C) of type T; h, D (N, C), rstd (N), gain (C) in RealOf<T>. Who computes
// what: the first two core/runs.cuh, a thread 8 numbers; norm_gradients core/row.cuh, a thread its
// runs of a token, which has a warp of its own up to C = 256, and eight at most; note_overflow one
// block, over all tokens. Bytes a number, bf16: 2 + 2, 2 + 4, 4 + 4; 4 a token. Flops: 1, 1, 6 a
// number. No memory is shared between arguments.
#pragma once

#include "core/runs.cuh"
#include "core/token_grid.h"
#include "ops/pre_norm.h"

namespace plumb::gpu {

template <class T>
struct NormArgs {
    using Real = RealOf<T>;
    T* xhat;           // (N, C)
    Real* rstd;        // (N); null: raw
    const Real* gain;  // (C); null: folded into the weight that reads xhat, and there is no x
    T* x;              // (N, C); null: not wanted
    const T* dx;       // (N, C); of xhat where the gain is folded
    Real eps;
};
template <class T>
NormArgs<T> norm_args(const PreNorm<T>& norm) {
    return {norm.xhat.data, norm.rstd.data, norm.gain.data, norm.x.data, norm.dx.data, norm.eps};
}

// ---- in kernels over rows -----------------------------------------------------------------------

template <class T, int V, class At>
__device__ inline void norm_put(const NormArgs<T>& norm, Group<RealOf<T>>& g, const At& at, long n,
                                bool live, Row<RealOf<T>, V>& h) {
    using Real = RealOf<T>;
    if (!norm.rstd) return store(h, at, live, norm.xhat + n * at.c);
    const Real r = inverse_sqrt(g.sum(dot(h, h)) / Real(at.c) + norm.eps);
    if (live && g.leads()) norm.rstd[n] = r;
    scale(r, h);
    store(h, at, live, norm.xhat + n * at.c);
    if (!norm.gain || !norm.x) return;
    Row<Real, V> gain;
    load(norm.gain, at, true, gain);
#pragma unroll
    for (int j = 0; j < V * kRun; ++j) h.x[j] *= gain.x[j];
    store(h, at, live, norm.x + n * at.c);
}

// d, in: dx_n; out: D_n = rstd (g - xhat <g, xhat>/C), g = dx gain; raw: dx_n. Returns <h, D>.
// `gained`: there is a gain, and dgain += dx xhat.
template <bool gained, class T, int V, class At>
__device__ inline RealOf<T> norm_gradient(const NormArgs<T>& norm, Group<RealOf<T>>& g,
                                          const At& at, long n, bool live,
                                          const Row<RealOf<T>, V>& xhat, Row<RealOf<T>, V>& d,
                                          Row<RealOf<T>, V>& dgain) {
    using Real = RealOf<T>;
    if (!norm.rstd) return g.sum(dot(d, xhat));
    if constexpr (gained) {
        Row<Real, V> gain;
        load(norm.gain, at, true, gain);
#pragma unroll
        for (int j = 0; j < V * kRun; ++j) {
            dgain.x[j] += d.x[j] * xhat.x[j];
            d.x[j] *= gain.x[j];
        }
    }
    const Real along = g.sum(dot(d, xhat)) / Real(at.c), r = live ? norm.rstd[n] : Real(0);
#pragma unroll
    for (int j = 0; j < V * kRun; ++j) d.x[j] = r * (d.x[j] - xhat.x[j] * along);
    return Real(at.c) * along * norm.eps * r * r;
}
// The same from memory.
template <bool gained, class T, int V, class At>
__device__ inline RealOf<T> norm_gradient(const NormArgs<T>& norm, Group<RealOf<T>>& g,
                                          const At& at, long n, bool live, Row<RealOf<T>, V>& d,
                                          Row<RealOf<T>, V>& dgain) {
    Row<RealOf<T>, V> xhat;
    load(norm.dx + n * at.c, at, live, d);
    load(static_cast<const T*>(norm.xhat) + n * at.c, at, live, xhat);
    return norm_gradient<gained>(norm, g, at, n, live, xhat, d, dgain);
}

// ---- apart from them ----------------------------------------------------------------------------

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    gain_runs(long N, long C, const T* xhat, const RealOf<T>* gain, T* x) {
    const RunPlace at(N, C);
    RealOf<T> a[kRun], b[kRun];
    load_run<whole>(xhat + at.n * C + at.c, at.count, a);
    load_run<whole>(gain + at.c, at.count, b);
#pragma unroll
    for (int j = 0; j < kRun; ++j) a[j] *= b[j];
    store_run<whole>(a, at.count, x + at.n * C + at.c);
}

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    value_runs(long N, long C, const T* xhat, const RealOf<T>* rstd, RealOf<T>* h) {
    using Real = RealOf<T>;
    const RunPlace at(N, C);
    if (at.count == 0) return;
    const Real scale = rstd ? 1 / rstd[at.n] : Real(1);
    Real x[kRun];
    load_run<whole>(xhat + at.n * C + at.c, at.count, x);
#pragma unroll
    for (int j = 0; j < kRun; ++j) x[j] *= scale;
    store_run<whole>(x, at.count, h + at.n * C + at.c);
}

template <class T, int V, bool whole>
__global__ void __launch_bounds__(32 * kMaxWarps)
    norm_gradient_rows(long N, int C, int W, NormArgs<T> norm, RealOf<T>* out) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    Row<Real, V> d, dgain;
    clear(dgain);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        norm_gradient<true>(norm, g, at, n, n < N, d, dgain);
        store(d, at, n < N, out + n * C);
    }
}

template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    find_overflow(long N, const Real* rstd, int l, double* first) {
    PLUMB_SHARED(BlockMemory<int>, memory);
    int found = 0;
    for (long n = threadIdx.x; n < N; n += kRunThreads) found |= rstd[n] == 0;
    found = over_block(found, memory, [](int a, int b) { return a | b; });
    if (threadIdx.x == 0 && found && *first == 0) *first = l;
}

template <class T>
void apply_gain(cudaStream_t stream, long N, long C, const T* xhat, const RealOf<T>* gain, T* x) {
    const bool whole = whole_runs(xhat, C) && whole_runs(gain, 0) && whole_runs(x, C);
    launch_runs(stream, "apply_gain", N, C, whole ? gain_runs<T, true> : gain_runs<T, false>, N, C,
                xhat, gain, x);
}
// rstd null: raw.
template <class T>
void norm_values(cudaStream_t stream, long N, long C, const T* xhat, const RealOf<T>* rstd,
                 RealOf<T>* h) {
    const bool whole = whole_runs(xhat, C) && whole_runs(h, C);
    launch_runs(stream, "norm_values", N, C, whole ? value_runs<T, true> : value_runs<T, false>, N,
                C, xhat, rstd, h);
}
// C: at most what V = 4 runs a thread hold, 8192.
template <class T>
void norm_gradients(cudaStream_t stream, long N, int C, const NormArgs<T>& norm, RealOf<T>* d) {
    if (N == 0) return;
    const auto rows = [&](int V, auto whole, auto other) {
        const int W = warps_for(C, V);
        launch(stream, "norm_gradients", C % kRun == 0 ? whole : other, whole_grid(N, W), N, C, W,
               norm, d);
    };
    if (C <= 256 * kMaxWarps)
        rows(1, norm_gradient_rows<T, 1, true>, norm_gradient_rows<T, 1, false>);
    else
        rows(4, norm_gradient_rows<T, 4, true>, norm_gradient_rows<T, 4, false>);
}
template <class Real>
void note_overflow(cudaStream_t stream, long N, const Real* rstd, int l, double* first) {
    launch(stream, "note_overflow", find_overflow<Real>, {1, kRunThreads}, N, rstd, l, first);
}

}  // namespace plumb::gpu
