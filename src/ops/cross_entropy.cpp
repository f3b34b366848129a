#include "ops/cross_entropy.h"

#include "core/dispatch.h"
#include "core/parallel.h"
#include "ops/exp.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

Index n_scored(View<const std::int32_t> targets) {
    Index n = 0;
    for (Index i = 0; i < targets.count(); ++i) n += targets.data[i] >= 0;
    return n;
}

// log sum_i e^z_i; a NaN in z stays.
template <class Real>
Real log_sum_exp(const Real* z, Index v) {
    Real max = z[0], sum = 0;
#pragma omp simd reduction(max : max)
    for (Index i = 0; i < v; ++i) max = z[i] > max ? z[i] : max;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < v; ++i) sum += fast_exp(z[i] - max);
    return max + std::log(sum);
}

// dz = weight e^(z - lse); dz may be z.
template <class T>
void softmax_gradient(const RealOf<T>* z, RealOf<T> lse, RealOf<T> weight, T* dz, Index v) {
#pragma omp simd
    for (Index i = 0; i < v; ++i) dz[i] = weight * fast_exp(z[i] - lse);
}

}  // namespace

template <class Real>
double cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                     View<Real> losses) {
    const Timed timed(ctx.profile, Part::loss);
    const Index v = logits.extent(1), n_tokens = logits.extent(0);
    require(targets.count() == n_tokens && losses.count() == n_tokens,
            "cross_entropy: shapes differ");
    dispatch(ctx, "cross_entropy", [&](Cpu) {
        for_tokens(ctx, n_tokens, [&](Index n) {
            const std::int32_t target = targets.data[n];
            losses.data[n] =
                target < 0 ? Real(0) : log_sum_exp(logits.row(n), v) - logits.row(n)[target];
        });
    });
    double total = 0;
    for (Index n = 0; n < n_tokens; ++n) total += static_cast<double>(losses.data[n]);
    const Index scored = n_scored(targets);
    return scored ? total / static_cast<double>(scored) : 0.0;
}

template <class T>
void cross_entropy_backward(const Context& ctx, View<const RealOf<T>> logits,
                            View<const std::int32_t> targets, View<const RealOf<T>> losses,
                            RealOf<T> scale, View<T> dlogits) {
    using Real = RealOf<T>;
    const Timed timed(ctx.profile, Part::loss);
    const Index v = logits.extent(1), scored = n_scored(targets);
    require(losses.count() == logits.extent(0) && dlogits.shape == logits.shape,
            "cross_entropy_backward: shapes differ");
    const Real weight = scored ? scale / static_cast<Real>(scored) : Real(0);
    dispatch(ctx, "cross_entropy_backward", [&](Cpu) {
        for_tokens(ctx, logits.extent(0), [&](Index n) {
            const std::int32_t target = targets.data[n];
            T* dz = dlogits.row(n);
            if (target < 0) {
                std::fill(dz, dz + v, T(Real(0)));
                return;
            }
            const Real* z = logits.row(n);
            const Real lse = losses.data[n] + z[target];
            const Real missing = weight * (fast_exp(z[target] - lse) - Real(1));
            softmax_gradient(z, lse, weight, dz, v);
            dz[target] = missing;  // rounded to T once
        });
    });
}

#define PLUMB_INSTANTIATE(T)                                                              \
    template void cross_entropy_backward(const Context&, View<const RealOf<T>>,           \
                                         View<const std::int32_t>, View<const RealOf<T>>, \
                                         RealOf<T>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template double cross_entropy(const Context&, View<const float>, View<const std::int32_t>,
                              View<float>);
template double cross_entropy(const Context&, View<const double>, View<const std::int32_t>,
                              View<double>);

}  // namespace plumb
