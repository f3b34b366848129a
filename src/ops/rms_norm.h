// RMSNorm (Zhang & Sennrich 2019): xhat = x rstd, rstd = 1/sqrt(mean(x^2) + eps), y = xhat * gain.
// xhat is what forward saves: backward needs no x, and y is one pass away (apply_gain).
#pragma once

#include "core/context.h"

namespace plumb {

// x, xhat (N, C), rstd (N). Overwrites.
template <class Real>
void rms_norm(const Context& ctx, View<const Real> x, Real eps, View<Real> xhat, View<Real> rstd);

// y (N, C) = xhat * gain (C). Overwrites.
template <class Real>
void apply_gain(const Context& ctx, View<const Real> xhat, View<const Real> gain, View<Real> y);

// dx (N, C) = rstd (dxhat - xhat <dxhat, xhat>/C), dxhat = dy * gain; overwrites dx, which may be
// dy. dgain (C) += sum_n dy * xhat, through partial (n_chunks, C), scratch.
template <class Real>
void rms_norm_backward(const Context& ctx, View<const Real> dy, View<const Real> xhat,
                       View<const Real> rstd, View<const Real> gain, View<Real> dx,
                       View<Real> dgain, View<Real> partial);

}  // namespace plumb
