// Linear: y = x W^T with W (Out, In), and its gradients. W is a parameter, RealOf<T> whatever T is;
// a layer that shares its W with another (the tied head) is a Linear of the same parameter.
//
// prepare() lays W out for oneDNN where that is faster than gemm(): always for Bf16; for float, of
// which only the forward product gains (gemm() transposes W anew in every slice: 5 to 20 %
// slower, measured), if the tokens are many enough to pay for it.
// T = Bf16: x, y, dy, dx are stored in bf16, W is rounded to bf16; sums are float, dW is float.
// Where oneDNN or the CPU has no bf16 products, float products of the same rounded numbers.
//
// The same bits for any number of threads (ops/slices.h). On a GPU: ops/matmul.cuh, with a copy of
// W in bf16 where T is that.
#pragma once

#include "core/dispatch.h"
#include "ops/linear_products.h"

#include <type_traits>

namespace plumb {

template <class T>
class Linear {
public:
    using Real = RealOf<T>;

    Linear() = default;
    // w (Out, In). Declares the copies of W that a device wants; on the CPU: Bf16 two, float one or
    // none, double none; on a GPU: Bf16 one. tokens: of the usual call; calls with another number
    // work, but the first one of each allocates.
    Linear(Plan& plan, const std::string& name, const Param<Real>& w, Index tokens);
    // Before the first forward in a frame, and whenever W changed.
    void prepare(const Context& ctx);

    // y (N, Out) = x (N, In) W^T. Overwrites y.
    void forward(const Context& ctx, View<const T> x, View<T> y);
    // The same with y as it was summed: logits.
    void forward(const Context& ctx, View<const T> x,
                 View<Real> y) requires(!std::is_same_v<T, RealOf<T>>);

    // dx (N, In) = dy W. Overwrites dx.
    void backward_input(const Context& ctx, View<const T> dy, View<T> dx);
    // dw += dy^T x, in Real.
    void backward_weight(const Context& ctx, View<const T> dy, View<const T> x);
    // Both; dx is skipped when empty.
    void backward(const Context& ctx, View<const T> dy, View<const T> x, View<T> dx);
    // The same; a GPU adds to dw beside what it is asked next, until gpu::join() (core/gpu.h).
    void backward_beside(const Context& ctx, View<const T> dy, View<const T> x, View<T> dx);

private:
    void check(Index n, const Shape& wide_in, const Shape& wide_out) const;

    // On a device, of arguments that fit.
    void declare(Cpu, Plan& plan, const std::string& name, Index tokens);
    void prepare(Cpu, const Context& ctx);
    template <class Y>
    void forward(Cpu, const Context& ctx, View<const T> x, View<Y> y);
    void backward_input(Cpu, const Context& ctx, View<const T> dy, View<T> dx);
    void backward_weight(Cpu, const Context& ctx, View<const T> dy, View<const T> x);
    void declare(Cuda, Plan& plan, const std::string& name, Index tokens);
    void prepare(Cuda, const Context& ctx);
    template <class Y>
    void forward(Cuda, const Context& ctx, View<const T> x, View<Y> y);
    void backward_input(Cuda, const Context& ctx, View<const T> dy, View<T> dx);
    void backward_weight(Cuda, const Context& ctx, View<const T> dy, View<const T> x);
    const T* operand(const Context& ctx) const;  // W as T, on a GPU

    Index out_ = 0, in_ = 0;
    Param<Real> w_;
    std::unique_ptr<LinearProducts<T>> products_;  // of the CPU: always of Bf16, never of double
    Tensor<T> rounded_;                            // of a GPU: (Out, In), of Bf16 alone
};

}  // namespace plumb
