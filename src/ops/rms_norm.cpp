#include "ops/rms_norm.h"

#include "core/dispatch.h"
#include "core/parallel.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {

template <class Real>
void rms_norm(const Context& ctx, View<const Real> x, Real eps, View<Real> xhat, View<Real> rstd) {
    require(x.shape == xhat.shape && rstd.count() == x.extent(0), "rms_norm: shapes differ");
    const Index c = x.extent(1);
    dispatch(ctx, "rms_norm", [&](Cpu) {
        for_tokens(ctx, x.extent(0), [&](Index n) {
            const Real* in = x.row(n);
            Real* out = xhat.row(n);
            const Real r = Real(1) / std::sqrt(dot(in, in, c) / static_cast<Real>(c) + eps);
            rstd.data[n] = r;
#pragma omp simd
            for (Index i = 0; i < c; ++i) out[i] = in[i] * r;
        });
    });
}

template <class Real>
void apply_gain(const Context& ctx, View<const Real> xhat, View<const Real> gain, View<Real> y) {
    require(xhat.shape == y.shape && gain.count() == y.extent(1), "apply_gain: shapes differ");
    const Index c = y.extent(1);
    dispatch(ctx, "apply_gain", [&](Cpu) {
        for_tokens(ctx, y.extent(0), [&](Index n) {
            const Real* in = xhat.row(n);
            Real* out = y.row(n);
#pragma omp simd
            for (Index i = 0; i < c; ++i) out[i] = in[i] * gain.data[i];
        });
    });
}

template <class Real>
void rms_norm_backward(const Context& ctx, View<const Real> dy, View<const Real> xhat,
                       View<const Real> rstd, View<const Real> gain, View<Real> dx,
                       View<Real> dgain, View<Real> partial) {
    const Index c = dy.extent(1), n_tokens = dy.extent(0);
    require(dy.shape == xhat.shape && dx.shape == dy.shape && dgain.count() == c &&
                partial.count() >= n_chunks(n_tokens) * c,
            "rms_norm_backward: shapes differ");
    dispatch(ctx, "rms_norm_backward", [&](Cpu) {
        for_chunks(ctx, n_tokens, [&](Index begin, Index end, Index k) {
            Real* dg = partial.data + k * c;
            std::fill(dg, dg + c, Real(0));
            for (Index n = begin; n < end; ++n) {
                const Real* d = dy.row(n);
                const Real* xh = xhat.row(n);
                Real* out = dx.row(n);
                Real along = 0;
#pragma omp simd reduction(+ : along)
                for (Index i = 0; i < c; ++i) {
                    dg[i] += d[i] * xh[i];
                    along += d[i] * gain.data[i] * xh[i];
                }
                along /= static_cast<Real>(c);
                const Real r = rstd.data[n];
#pragma omp simd
                for (Index i = 0; i < c; ++i) out[i] = r * (d[i] * gain.data[i] - xh[i] * along);
            }
        });
        add_partials(View<const Real>(partial), n_chunks(n_tokens), dgain);
    });
}

#define PLUMB_INSTANTIATE(Real)                                                                 \
    template void rms_norm(const Context&, View<const Real>, Real, View<Real>, View<Real>);     \
    template void apply_gain(const Context&, View<const Real>, View<const Real>, View<Real>);   \
    template void rms_norm_backward(const Context&, View<const Real>, View<const Real>,         \
                                    View<const Real>, View<const Real>, View<Real>, View<Real>, \
                                    View<Real>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
