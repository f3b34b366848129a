#include "ops/pre_norm.h"

#include "core/dispatch.h"
#include "core/parallel.h"

namespace plumb {

template <class T>
void apply_gain(const Context& ctx, View<const T> xhat, View<const RealOf<T>> gain, View<T> x) {
    const Timed timed(ctx.profile, Part::mixer);
    require(xhat.shape == x.shape && gain.count() == x.extent(1), "apply_gain: shapes differ");
    const Index c = x.extent(1);
    dispatch(ctx, "apply_gain", [&](Cpu) {
        for_tokens(ctx, x.extent(0), [&](Index n) {
            const T* in = xhat.row(n);
            T* out = x.row(n);
#pragma omp simd
            for (Index i = 0; i < c; ++i) out[i] = in[i] * gain.data[i];
        });
    });
}

template void apply_gain(const Context&, View<const float>, View<const float>, View<float>);
template void apply_gain(const Context&, View<const double>, View<const double>, View<double>);
template void apply_gain(const Context&, View<const Bf16>, View<const float>, View<Bf16>);

}  // namespace plumb
