#include "ops/cross_entropy.h"

#include "core/parallel.h"
#include "ops/exp.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

template <class Real>
Real largest(const Real* z, Index v) {
    Real max = z[0];
#pragma omp simd reduction(max : max)
    for (Index i = 0; i < v; ++i) max = z[i] > max ? z[i] : max;
    return max;
}

// sum_i e^(z_i - max); a NaN in z stays.
template <class Real>
Real masses(const Real* z, Real max, Index v) {
    Real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < v; ++i) sum += fast_exp(z[i] - max);
    return sum;
}

// The same, and z_i = e^(z_i - max).
template <class Real>
Real masses_in_place(Real* z, Real max, Index v) {
    Real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < v; ++i) {
        z[i] = fast_exp(z[i] - max);
        sum += z[i];
    }
    return sum;
}

// dz = factor z; dz may be z.
template <class T>
void scaled(const RealOf<T>* z, RealOf<T> factor, T* dz, Index v) {
#pragma omp simd
    for (Index i = 0; i < v; ++i) dz[i] = factor * z[i];
}

}  // namespace

void n_scored(Cpu, const Context&, View<const std::int32_t> targets, View<double> scored) {
    *scored.data =
        static_cast<double>(std::count_if(targets.data, targets.data + targets.count(),
                                          [](std::int32_t target) { return target >= 0; }));
}

template <class Real>
void cross_entropy(Cpu, const Context& ctx, View<const Real> logits,
                   View<const std::int32_t> targets, View<Real> losses) {
    const Index v = logits.extent(1);
    for_tokens(ctx, losses.count(), [&](Index n) {
        const std::int32_t target = targets.data[n];
        losses.data[n] = 0;
        if (target < 0) return;
        const Real* z = logits.row(n);
        const Real max = largest(z, v);
        losses.data[n] = max + std::log(masses(z, max, v)) - z[target];
    });
}

template <class T>
void cross_entropy_gradient(Cpu, const Context& ctx, View<RealOf<T>> logits,
                            View<const std::int32_t> targets, View<RealOf<T>> losses,
                            RealOf<T> scale, View<const double> scored, View<T> dlogits) {
    using Real = RealOf<T>;
    const Index v = logits.extent(1);
    const Real weight = scale / static_cast<Real>(*scored.data);
    for_tokens(ctx, losses.count(), [&](Index n) {
        const std::int32_t target = targets.data[n];
        T* dz = dlogits.row(n);
        losses.data[n] = 0;
        if (target < 0) return void(std::fill(dz, dz + v, T(Real(0))));
        Real* z = logits.row(n);
        const Real max = largest(z, v), own = z[target], sum = masses_in_place(z, max, v);
        const Real missing = weight * (z[target] / sum - Real(1));
        scaled(z, weight / sum, dz, v);
        dz[target] = missing;  // rounded to T once
        losses.data[n] = max + std::log(sum) - own;
    });
}

template <class Real>
void mean_loss(Cpu, const Context&, View<const Real> losses, View<const double> scored,
               View<double> mean) {
    double total = 0;
    for (Index n = 0; n < losses.count(); ++n) total += static_cast<double>(losses.data[n]);
    *mean.data = *scored.data > 0 ? total / *scored.data : 0.0;
}

#define PLUMB_INSTANTIATE(T)                                                                   \
    template void cross_entropy_gradient(Cpu, const Context&, View<RealOf<T>>,                 \
                                         View<const std::int32_t>, View<RealOf<T>>, RealOf<T>, \
                                         View<const double>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void cross_entropy(Cpu, const Context&, View<const float>, View<const std::int32_t>,
                            View<float>);
template void cross_entropy(Cpu, const Context&, View<const double>, View<const std::int32_t>,
                            View<double>);
template void mean_loss(Cpu, const Context&, View<const float>, View<const double>, View<double>);
template void mean_loss(Cpu, const Context&, View<const double>, View<const double>, View<double>);

}  // namespace plumb
