// Activations of the MLP on a GPU (ops/activation.h), one kernel a direction:
//
//     swiglu   a = silu(gate) value,    up (N, 2F) = [gate | value]
//     gelu     a = x sigmoid(2 k (x + c x^3)),    up (N, F) = x
//
// Backward makes a again. Layout: all (N, F) or (N, 2F) of type T, computed in RealOf<T>. Who
// computes what: core/runs.cuh, a thread 8 numbers of a and those they come from. Bytes a number of
// a, bf16: swiglu 4 + 2 = 6, backward 4 + 2 read, 4 + 2 written = 12; gelu 4 and 8. Flops: about 10
// and 20 a number with the exponential as one, of the 150 that these bytes leave time for: the
// floor is the copy's. No memory is shared between arguments.
//
// sigmoid is made of e^-|x|, which is at most 1: no intermediate overflows, and a NaN stays.
#pragma once

#include "core/runs.cuh"

namespace plumb::gpu {

template <class Real>
__device__ inline Real sigmoid(Real x) {
    const Real e = weight(x < 0 ? x : -x), r = reciprocal(1 + e);
    return x < 0 ? e * r : r;
}

// Of one number of a: its `parts` of up, d its gradient. gradient() returns a, which backward
// keeps.
struct Swiglu {
    static constexpr int parts = 2;
    template <class Real>
    __device__ static Real value(const Real (&up)[parts]) {
        return up[0] * sigmoid(up[0]) * up[1];
    }
    template <class Real>
    __device__ static Real gradient(const Real (&up)[parts], Real d, Real (&dup)[parts]) {
        const Real s = sigmoid(up[0]), silu = up[0] * s;
        dup[0] = d * up[1] * (s + silu * (1 - s));
        dup[1] = d * silu;
        return silu * up[1];
    }
};
struct Gelu {  // Hendrycks & Gimpel 2016
    static constexpr int parts = 1;
    static constexpr double twice_k = 2 * 0.7978845608028654, c = 0.044715;
    template <class Real>
    __device__ static Real gate(Real x) {
        return sigmoid(Real(twice_k) * x * (1 + Real(c) * x * x));
    }
    template <class Real>
    __device__ static Real value(const Real (&up)[parts]) {
        return up[0] * gate(up[0]);
    }
    template <class Real>
    __device__ static Real gradient(const Real (&up)[parts], Real d, Real (&dup)[parts]) {
        const Real x = up[0], s = gate(x), value = x * s;
        const Real slope = Real(twice_k) * (1 + Real(3 * c) * x * x);
        dup[0] = d * (s + value * (1 - s) * slope);
        return value;
    }
};

template <class Kind, class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    activate(long N, long F, const T* up /* (N, parts F) */, T* a) {
    using Real = RealOf<T>;
    constexpr int parts = Kind::parts;
    const RunPlace at(N, F);
    Real x[parts][kRun], y[kRun];
#pragma unroll
    for (int k = 0; k < parts; ++k)
        load_run<whole>(up + (at.n * parts + k) * F + at.c, at.count, x[k]);
#pragma unroll
    for (int j = 0; j < kRun; ++j) {
        Real one[parts];
#pragma unroll
        for (int k = 0; k < parts; ++k) one[k] = x[k][j];
        y[j] = Kind::value(one);
    }
    store_run<whole>(y, at.count, a + at.n * F + at.c);
}

template <class Kind, class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    activate_backward(long N, long F, const T* up, const T* da, T* dup, T* a) {
    using Real = RealOf<T>;
    constexpr int parts = Kind::parts;
    const RunPlace at(N, F);
    Real x[parts][kRun], d[kRun];
#pragma unroll
    for (int k = 0; k < parts; ++k)
        load_run<whole>(up + (at.n * parts + k) * F + at.c, at.count, x[k]);
    load_run<whole>(da + at.n * F + at.c, at.count, d);
#pragma unroll
    for (int j = 0; j < kRun; ++j) {
        Real one[parts], done[parts];
#pragma unroll
        for (int k = 0; k < parts; ++k) one[k] = x[k][j];
        d[j] = Kind::gradient(one, d[j], done);
#pragma unroll
        for (int k = 0; k < parts; ++k) x[k][j] = done[k];
    }
#pragma unroll
    for (int k = 0; k < parts; ++k)
        store_run<whole>(x[k], at.count, dup + (at.n * parts + k) * F + at.c);
    store_run<whole>(d, at.count, a + at.n * F + at.c);
}

template <class Kind, class T>
void activation(cudaStream_t stream, long N, long F, const T* up, T* a) {
    const bool whole = whole_runs(up, F) && whole_runs(a, F);
    launch_runs(stream, "activation", N, F,
                whole ? activate<Kind, T, true> : activate<Kind, T, false>, N, F, up, a);
}

template <class Kind, class T>
void activation_backward(cudaStream_t stream, long N, long F, const T* up, const T* da, T* dup,
                         T* a) {
    const bool whole =
        whole_runs(up, F) && whole_runs(da, F) && whole_runs(dup, F) && whole_runs(a, F);
    launch_runs(stream, "activation_backward", N, F,
                whole ? activate_backward<Kind, T, true> : activate_backward<Kind, T, false>, N, F,
                up, da, dup, a);
}

}  // namespace plumb::gpu
