// The pre-norm (ops/pre_norm.h) in kernels over rows: the last act of a read, the first of its
// backward, on a row that is in registers.
#pragma once

#include "core/row.cuh"

namespace plumb::gpu {

template <class T>
struct NormArgs {
    using Real = RealOf<T>;
    T* xhat;           // (N, C)
    Real* rstd;        // (N)
    const Real* gain;  // (C); null: folded into the weight that reads xhat, and there is no x
    T* x;              // (N, C)
    const T* dx;       // (N, C); of xhat where the gain is folded
    Real eps;
};

template <class T, int V, class At>
__device__ inline void norm_put(const NormArgs<T>& norm, Group<RealOf<T>>& g, const At& at, long n,
                                bool live, Row<RealOf<T>, V>& h) {
    using Real = RealOf<T>;
    const Real r = inverse_sqrt(g.sum(dot(h, h)) / Real(at.c) + norm.eps);
    if (live && g.leads()) norm.rstd[n] = r;
    scale(r, h);
    store(h, at, live, norm.xhat + n * at.c);
    if (!norm.gain) return;
    Row<Real, V> gain;
    load(norm.gain, at, true, gain);
#pragma unroll
    for (int j = 0; j < V * kRun; ++j) h.x[j] *= gain.x[j];
    store(h, at, live, norm.x + n * at.c);
}

// d, in: dx_n; out: D_n = rstd (g - xhat <g, xhat>/C), g = dx gain. Returns <h, D>. `gained`: there
// is a gain, and dgain += dx xhat.
template <bool gained, class T, int V, class At>
__device__ inline RealOf<T> norm_gradient(const NormArgs<T>& norm, Group<RealOf<T>>& g,
                                          const At& at, long n, bool live,
                                          const Row<RealOf<T>, V>& xhat, Row<RealOf<T>, V>& d,
                                          Row<RealOf<T>, V>& dgain) {
    using Real = RealOf<T>;
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

}  // namespace plumb::gpu
