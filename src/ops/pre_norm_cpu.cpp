#include "ops/pre_norm_cpu.h"

#include "core/parallel.h"

#include <algorithm>

namespace plumb {

template <class T>
void apply_gain(Cpu, const Context& ctx, View<const T> xhat, View<const RealOf<T>> gain,
                View<T> x) {
    const Index c = x.extent(1);
    for_tokens(ctx, x.extent(0), [&](Index n) {
        const T* in = xhat.row(n);
        T* out = x.row(n);
#pragma omp simd
        for (Index i = 0; i < c; ++i) out[i] = in[i] * gain.data[i];
    });
}

template <class Real>
void note_overflow(Cpu, const Context&, View<const Real> rstd, int l, View<double> first) {
    const Real* end = rstd.data + rstd.count();
    if (*first.data == 0 && std::find(rstd.data, end, Real(0)) != end) *first.data = l;
}

template <class T>
void norm_values(Cpu, const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> h) {
    for_tokens(ctx, h.extent(0), [&](Index n) { norm_value(norm, n, h.row(n)); });
}

template <class T>
void norm_gradients(Cpu, const Context& ctx, const PreNorm<T>& norm, View<RealOf<T>> d) {
    for_tokens(ctx, d.extent(0), [&](Index n) { norm_gradient(norm, n, d.row(n)); });
}

template void apply_gain(Cpu, const Context&, View<const float>, View<const float>, View<float>);
template void apply_gain(Cpu, const Context&, View<const double>, View<const double>, View<double>);
template void apply_gain(Cpu, const Context&, View<const Bf16>, View<const float>, View<Bf16>);
template void note_overflow(Cpu, const Context&, View<const float>, int, View<double>);
template void note_overflow(Cpu, const Context&, View<const double>, int, View<double>);
template void norm_values(Cpu, const Context&, const PreNorm<float>&, View<float>);
template void norm_values(Cpu, const Context&, const PreNorm<double>&, View<double>);
template void norm_values(Cpu, const Context&, const PreNorm<Bf16>&, View<float>);
template void norm_gradients(Cpu, const Context&, const PreNorm<float>&, View<float>);
template void norm_gradients(Cpu, const Context&, const PreNorm<double>&, View<double>);
template void norm_gradients(Cpu, const Context&, const PreNorm<Bf16>&, View<float>);

}  // namespace plumb
