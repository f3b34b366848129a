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

// losses_n = loss(n), and their sum.
template <class Real, class F>
double losses_of(const Context& ctx, View<Real> losses, F&& loss) {
    for_tokens(ctx, losses.count(), [&](Index n) { losses.data[n] = loss(n); });
    double total = 0;
    for (Index n = 0; n < losses.count(); ++n) total += static_cast<double>(losses.data[n]);
    return total;
}

}  // namespace

Index n_scored(Cpu, const Context&, View<const std::int32_t> targets) {
    return std::count_if(targets.data, targets.data + targets.count(),
                         [](std::int32_t target) { return target >= 0; });
}

template <class Real>
double cross_entropy(Cpu, const Context& ctx, View<const Real> logits,
                     View<const std::int32_t> targets, View<Real> losses) {
    const Index v = logits.extent(1);
    return losses_of(ctx, losses, [&](Index n) {
        const std::int32_t target = targets.data[n];
        if (target < 0) return Real(0);
        const Real* z = logits.row(n);
        const Real max = largest(z, v);
        return max + std::log(masses(z, max, v)) - z[target];
    });
}

template <class T>
double cross_entropy_gradient(Cpu, const Context& ctx, View<RealOf<T>> logits,
                              View<const std::int32_t> targets, View<RealOf<T>> losses,
                              RealOf<T> weight, View<T> dlogits) {
    using Real = RealOf<T>;
    const Index v = logits.extent(1);
    return losses_of(ctx, losses, [&](Index n) {
        const std::int32_t target = targets.data[n];
        T* dz = dlogits.row(n);
        if (target < 0) {
            std::fill(dz, dz + v, T(Real(0)));
            return Real(0);
        }
        Real* z = logits.row(n);
        const Real max = largest(z, v), own = z[target], sum = masses_in_place(z, max, v);
        const Real missing = weight * (z[target] / sum - Real(1));
        scaled(z, weight / sum, dz, v);
        dz[target] = missing;  // rounded to T once
        return max + std::log(sum) - own;
    });
}

#define PLUMB_INSTANTIATE(T)                                                                     \
    template double cross_entropy_gradient(Cpu, const Context&, View<RealOf<T>>,                 \
                                           View<const std::int32_t>, View<RealOf<T>>, RealOf<T>, \
                                           View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template double cross_entropy(Cpu, const Context&, View<const float>, View<const std::int32_t>,
                              View<float>);
template double cross_entropy(Cpu, const Context&, View<const double>, View<const std::int32_t>,
                              View<double>);

}  // namespace plumb
