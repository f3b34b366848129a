#include "ops/pre_norm.h"

namespace plumb {

template <class T>
void apply_gain(const Context& ctx, View<const T> xhat, View<const RealOf<T>> gain, View<T> x) {
    const Timed timed(ctx.profile, Part::mixer);
    require(xhat.shape == x.shape && gain.count() == x.extent(1), "apply_gain: shapes differ");
    dispatch(ctx, "apply_gain", [&](auto device) { apply_gain<T>(device, ctx, xhat, gain, x); });
}

template <class Real>
void note_overflow(const Context& ctx, View<const Real> rstd, int l, View<double> first) {
    require(first.count() == 1, "note_overflow: one number");
    dispatch(ctx, "note_overflow",
             [&](auto device) { note_overflow<Real>(device, ctx, rstd, l, first); });
}

template <class T>
void norm_values(const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> h) {
    require(h.shape == norm.xhat.shape, "norm_values: shapes differ");
    dispatch(ctx, "norm_values", [&](auto device) { norm_values<T>(device, ctx, norm, h); });
}

template <class T>
void norm_gradients(const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> d) {
    require(d.shape == norm.dx.shape, "norm_gradients: shapes differ");
    dispatch(ctx, "norm_gradients", [&](auto device) { norm_gradients<T>(device, ctx, norm, d); });
}

template void apply_gain(const Context&, View<const float>, View<const float>, View<float>);
template void apply_gain(const Context&, View<const double>, View<const double>, View<double>);
template void apply_gain(const Context&, View<const Bf16>, View<const float>, View<Bf16>);
template void note_overflow(const Context&, View<const float>, int, View<double>);
template void note_overflow(const Context&, View<const double>, int, View<double>);
template void norm_values(const Context&, const PreNorm<float>&, View<float>);
template void norm_values(const Context&, const PreNorm<double>&, View<double>);
template void norm_values(const Context&, const PreNorm<Bf16>&, View<float>);
template void norm_gradients(const Context&, const PreNorm<float>&, View<float>);
template void norm_gradients(const Context&, const PreNorm<double>&, View<double>);
template void norm_gradients(const Context&, const PreNorm<Bf16>&, View<float>);

}  // namespace plumb
