// PreNorm: the RMSNorm (Zhang & Sennrich 2019) in front of a sublayer, token by token, so that a
// depth mixer ends its read with it and starts its backward from it, in the same pass.
//
//     forward   xhat = h rstd,  rstd = 1/sqrt(mean(h^2) + eps),  x = xhat gain
//     backward  D = dLoss/dh = rstd (g - xhat <g, xhat>/C),  g = dx gain;  dgain += dx xhat
//
// h itself is not kept: h = xhat / rstd. Without rstd ("raw") there is no norm: xhat is h, dx is D.
// Bytes per token: forward 2 C written, backward 2 C read.
#pragma once

#include "core/context.h"
#include "ops/depth_mix.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {

template <class T>
struct PreNorm {
    using Real = RealOf<T>;

    View<T> xhat;           // (N, C); the mixer's to overwrite once gradient() has read a token
    View<Real> rstd;        // (N); empty: raw
    View<const Real> gain;  // (C)
    View<T> x;              // (N, C); empty: not wanted
    Real eps = 0;
    View<const T> dx;  // (N, C) gradient of x, for gradient()
    View<Real> dgain;  // (n_chunks(N), C) partial sums, one row a chunk; overwritten

    bool raw() const { return !rstd; }
    Index channels() const { return xhat.extent(1); }

    // h (C) of token n is known.
    void put(Index n, const Real* h) const {
        const Index c = channels();
        T* out = xhat.row(n);
        if (raw()) {
            for (Index i = 0; i < c; ++i) out[i] = h[i];
            return;
        }
        const Real r = Real(1) / std::sqrt(row_dot(h, h, c) / static_cast<Real>(c) + eps);
        rstd.data[n] = r;
        T* scaled = x.row(n);
        for_vecs<Real, false>(c, [&](Index i, auto size) {
            const Vec<Real> v = load<Real>(h + i, size) * r;
            store<Real>(v, out + i, size);
            store<Real>(v * load<Real>(gain.data + i, size), scaled + i, size);
        });
    }

    // h (C) of token n again.
    void value(Index n, Real* h) const {
        const Index c = channels();
        const Real scale = raw() ? Real(1) : Real(1) / rstd.data[n];
        const T* in = xhat.row(n);
#pragma omp simd
        for (Index i = 0; i < c; ++i) h[i] = in[i] * scale;
    }

    // D (C) of token n; returns <h, D>. Once per token and backward pass, the tokens of a chunk in
    // order (they add to one row of dgain).
    Real gradient(Index n, Real* d) const {
        const Index c = channels();
        const T *in = dx.row(n), *xh = xhat.row(n);
        if (raw()) {
            copy_row(in, d, c);
            return row_dot(in, xh, c);
        }
        Real* dg = dgain.row(n / kTokenChunk);
        if (n % kTokenChunk == 0) std::fill(dg, dg + c, Real(0));
        const Real* g = gain.data;
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
        const Real r = rstd.data[n];
        for_vecs<Real, false>(c, [&](Index i, auto size) {
            store<Real>(r * (load<Real>(in + i, size) * load<Real>(g + i, size) -
                             load<Real>(xh + i, size) * along),
                        d + i, size);
        });
        // <xhat, xhat> = C (1 - eps rstd^2): D is orthogonal to h up to eps.
        return static_cast<Real>(c) * along * eps * r * r;
    }
};

// x (N, C) = xhat * gain (C), as put() made it: backward needs x again. Overwrites.
template <class T>
void apply_gain(const Context& ctx, View<const T> xhat, View<const RealOf<T>> gain, View<T> x);

}  // namespace plumb
