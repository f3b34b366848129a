// The pre-norm of one token, for the passes of the CPU; ops/pre_norm.cuh has the same for a GPU's.
#pragma once

#include "core/simd.h"
#include "ops/depth_mix.h"
#include "ops/pre_norm.h"

#include <cmath>

namespace plumb {

// h (C) of token n is known.
template <class T>
inline void norm_put(const PreNorm<T>& norm, Index n, const RealOf<T>* h) {
    using Real = RealOf<T>;
    const Index c = norm.channels();
    T* out = norm.xhat.row(n);
    if (norm.raw()) {
        for (Index i = 0; i < c; ++i) out[i] = h[i];
        return;
    }
    const Real r = Real(1) / std::sqrt(row_dot(h, h, c) / static_cast<Real>(c) + norm.eps);
    norm.rstd.data[n] = r;
    T* scaled = norm.x.row(n);
    for_vecs<Real, false>(c, [&](Index i, auto size) {
        const Vec<Real> v = load<Real>(h + i, size) * r;
        store<Real>(v, out + i, size);
        store<Real>(v * load<Real>(norm.gain.data + i, size), scaled + i, size);
    });
}

// h (C) of token n again.
template <class T>
inline void norm_value(const PreNorm<T>& norm, Index n, RealOf<T>* h) {
    using Real = RealOf<T>;
    const Index c = norm.channels();
    const Real scale = norm.raw() ? Real(1) : Real(1) / norm.rstd.data[n];
    const T* in = norm.xhat.row(n);
#pragma omp simd
    for (Index i = 0; i < c; ++i) h[i] = in[i] * scale;
}

// D (C) of token n; returns <h, D>. Adds to the row of dgain of the token's chunk: a chunk is one
// thread's. DepthMixer sets dgain to zero before a backward pass.
template <class T>
inline RealOf<T> norm_gradient(const PreNorm<T>& norm, Index n, RealOf<T>* d) {
    using Real = RealOf<T>;
    const Index c = norm.channels();
    const T *in = norm.dx.row(n), *xh = norm.xhat.row(n);
    if (norm.raw()) {
        copy_row(in, d, c);
        return row_dot(in, xh, c);
    }
    Real* dg = norm.dgain.row(n / kTokenChunk);
    const Real* g = norm.gain.data;
    Vec<Real> sum = {};
    const auto add = [&](Index i, auto size) __attribute__((always_inline)) {
        const Vec<Real> t = load<Real>(in + i, size) * load<Real>(xh + i, size);
        store<Real>(load<Real>(dg + i, size) + t, dg + i, size);
        sum += t * load<Real>(g + i, size);
    };
    if (c % kVec<Real> == 0)
        for_vecs<Real, true>(c, add);
    else
        for_vecs<Real, false>(c, add);
    const Real along = lane_sums<1, Real>(&sum)[0] / static_cast<Real>(c);
    const Real r = norm.rstd.data[n];
    for_vecs<Real, false>(c, [&](Index i, auto size) {
        store<Real>(r * (load<Real>(in + i, size) * load<Real>(g + i, size) -
                         load<Real>(xh + i, size) * along),
                    d + i, size);
    });
    // <xhat, xhat> = C (1 - eps rstd^2): D is orthogonal to h up to eps.
    return static_cast<Real>(c) * along * norm.eps * r * r;
}

}  // namespace plumb
