// PreNorm: the RMSNorm (Zhang & Sennrich 2019) in front of a sublayer, token by token, so that a
// depth mixer ends its read with it and starts its backward from it, in the same pass.
//
//     forward   xhat = h rstd,  rstd = 1/sqrt(mean(h^2) + eps),  x = xhat gain
//     backward  D = dLoss/dh = rstd (g - xhat <g, xhat>/C),  g = dx gain;  dgain += dx xhat
//
// h itself is not kept: h = xhat / rstd. Without rstd ("raw") there is no norm: xhat is h, dx is D.
// Bytes per token: forward 2 C written, backward 2 C read.
//
// What is here is data, for the passes of any device; those of the CPU call ops/pre_norm_cpu.h
// token by token.
#pragma once

#include "core/dispatch.h"

namespace plumb {

template <class T>
struct PreNorm {
    using Real = RealOf<T>;

    View<T> xhat;           // (N, C); the mixer's to overwrite once a token's D is made
    View<Real> rstd;        // (N); empty: raw
    View<const Real> gain;  // (C)
    View<T> x;              // (N, C); empty: not wanted
    Real eps = 0;
    View<const T> dx;  // (N, C) gradient of x
    View<Real> dgain;  // (partial_rows, C) sums over some of the tokens, of a backward pass

    bool raw() const { return !rstd; }
    Index channels() const { return xhat.extent(1); }
};

// x (N, C) = xhat * gain (C), as forward made it: backward needs x again. Overwrites.
template <class T>
void apply_gain(const Context& ctx, View<const T> xhat, View<const RealOf<T>> gain, View<T> x);

// Where first (1) is 0 yet and a token's mean square overflowed, so that its rstd (N) is 0: first =
// l.
template <class Real>
void note_overflow(const Context& ctx, View<const Real> rstd, int l, View<double> first);

// For those who look on. h (N, C) again, once forward was.
template <class T>
void norm_values(const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> h);
// D (N, C), before the mixer's backward pass; spoils dgain, which that pass begins anew.
template <class T>
void norm_gradients(const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> d);

// On a device, of arguments that fit.
template <class T>
void apply_gain(Cpu, const Context& ctx, View<const T> xhat, View<const RealOf<T>> gain, View<T> x);
template <class T>
void apply_gain(Cuda, const Context& ctx, View<const T> xhat, View<const RealOf<T>> gain,
                View<T> x);
template <class Real>
void note_overflow(Cpu, const Context& ctx, View<const Real> rstd, int l, View<double> first);
template <class Real>
void note_overflow(Cuda, const Context& ctx, View<const Real> rstd, int l, View<double> first);
template <class T>
void norm_values(Cpu, const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> h);
template <class T>
void norm_values(Cuda, const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> h);
template <class T>
void norm_gradients(Cpu, const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> d);
template <class T>
void norm_gradients(Cuda, const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> d);

}  // namespace plumb
