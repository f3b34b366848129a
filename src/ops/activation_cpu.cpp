#include "ops/activation.h"

#include "core/parallel.h"
#include "ops/exp.h"

namespace plumb {
namespace {

// gelu(x) = x/2 (1 + tanh(k (x + c x^3))) = x sigmoid(2 k (x + c x^3)), Hendrycks & Gimpel 2016
constexpr double kGelu2K = 2 * 0.7978845608028654, kGeluC = 0.044715;

template <class Real>
Real sigmoid(Real x) {
    return Real(1) / (Real(1) + fast_exp(-x));
}

template <class Real>
Real gelu_gate(Real x) {
    return sigmoid(Real(kGelu2K) * x * (Real(1) + Real(kGeluC) * x * x));
}

// ---- one token --------------------------------------------------------------------------------

template <class T>
void swiglu(const T* __restrict gate, const T* __restrict value, T* __restrict a, Index f) {
#pragma omp simd
    for (Index i = 0; i < f; ++i) {
        const RealOf<T> x = gate[i], v = value[i];
        a[i] = x * sigmoid(x) * v;
    }
}

template <class T>
void gelu(const T* __restrict up, T* __restrict a, Index f) {
#pragma omp simd
    for (Index i = 0; i < f; ++i) {
        const RealOf<T> x = up[i];
        a[i] = x * gelu_gate(x);
    }
}

template <class T>
void swiglu_backward(const T* __restrict gate, const T* __restrict value, const T* __restrict da,
                     T* __restrict dgate, T* __restrict dvalue, T* __restrict a, Index f) {
    using Real = RealOf<T>;
#pragma omp simd
    for (Index i = 0; i < f; ++i) {
        const Real x = gate[i], v = value[i], d = da[i], s = sigmoid(x), silu = x * s;
        a[i] = silu * v;
        dvalue[i] = d * silu;
        dgate[i] = d * v * (s + silu * (Real(1) - s));
    }
}

template <class T>
void gelu_backward(const T* __restrict up, const T* __restrict da, T* __restrict dup,
                   T* __restrict a, Index f) {
    using Real = RealOf<T>;
#pragma omp simd
    for (Index i = 0; i < f; ++i) {
        const Real x = up[i], d = da[i], s = gelu_gate(x), value = x * s;
        a[i] = value;
        const Real slope = Real(kGelu2K) * (Real(1) + Real(3 * kGeluC) * x * x);
        dup[i] = d * (s + value * (Real(1) - s) * slope);
    }
}

}  // namespace

template <class T>
void activation(Cpu, const Context& ctx, Activation kind, View<const T> up, View<T> a) {
    const Index f = a.extent(1);
    for_tokens(ctx, a.extent(0), [&](Index n) {
        if (kind == Activation::swiglu)
            swiglu(up.row(n), up.row(n) + f, a.row(n), f);
        else
            gelu(up.row(n), a.row(n), f);
    });
}

template <class T>
void activation_backward(Cpu, const Context& ctx, Activation kind, View<const T> up,
                         View<const T> da, View<T> dup, View<T> a) {
    const Index f = a.extent(1);
    for_tokens(ctx, a.extent(0), [&](Index n) {
        if (kind == Activation::swiglu)
            swiglu_backward(up.row(n), up.row(n) + f, da.row(n), dup.row(n), dup.row(n) + f,
                            a.row(n), f);
        else
            gelu_backward(up.row(n), da.row(n), dup.row(n), a.row(n), f);
    });
}

#define PLUMB_INSTANTIATE(T)                                                           \
    template void activation(Cpu, const Context&, Activation, View<const T>, View<T>); \
    template void activation_backward(Cpu, const Context&, Activation, View<const T>,  \
                                      View<const T>, View<T>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
