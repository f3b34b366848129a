#include "ops/linear.h"
#include "ops/matmul.h"

namespace plumb {

template <class T>
void Linear<T>::declare(Cpu, Plan& plan, const std::string& name, Index tokens) {
    const LinearShape shape{tokens, out_, in_};
    if constexpr (std::is_same_v<T, Bf16>) {
        products_ = onednn_products<T>(shape);
        if (!products_) products_ = widening_products(shape);
    } else if constexpr (std::is_same_v<T, float>) {
        // Packing costs as much as the product of about 25 tokens (measured).
        if (tokens >= 256) products_ = onednn_products<T>(shape);
    }
    if (products_) products_->declare(plan, name);
}

template <class T>
void Linear<T>::prepare(Cpu, const Context& ctx) {
    if constexpr (std::is_same_v<Real, float>)
        if (products_) products_->pack(ctx, ctx.value(w_).data);
}

template <class T>
template <class Y>
void Linear<T>::forward(Cpu, const Context& ctx, View<const T> x, View<Y> y) {
    const Index n = x.extent(0);
    if constexpr (!std::is_same_v<Y, T>)
        products_->forward_sums(ctx, n, x.data, y.data);
    else if (products_)
        products_->forward(ctx, n, x.data, y.data);
    else if constexpr (std::is_same_v<T, Real>)
        gemm(ctx, Op::none, Op::transpose, n, out_, in_, T(1), x.data, in_, ctx.value(w_).data, in_,
             T(0), y.data, out_);
}

template <class T>
void Linear<T>::backward_input(Cpu, const Context& ctx, View<const T> dy, View<T> dx) {
    const Index n = dy.extent(0);
    if constexpr (std::is_same_v<T, Bf16>)
        products_->backward_input(ctx, n, dy.data, dx.data);
    else
        gemm(ctx, Op::none, Op::none, n, in_, out_, T(1), dy.data, out_, ctx.value(w_).data, in_,
             T(0), dx.data, in_);
}

template <class T>
void Linear<T>::backward_weight(Cpu, const Context& ctx, View<const T> dy, View<const T> x) {
    const Index n = dy.extent(0);
    Real* dw = ctx.grad(w_).data;
    if constexpr (std::is_same_v<T, Bf16>)
        products_->backward_weight(ctx, n, dy.data, x.data, dw);
    else
        gemm(ctx, Op::transpose, Op::none, out_, in_, n, T(1), dy.data, out_, x.data, in_, T(1), dw,
             in_);
}

#define PLUMB_INSTANTIATE(T)                                                              \
    template void Linear<T>::declare(Cpu, Plan&, const std::string&, Index);              \
    template void Linear<T>::prepare(Cpu, const Context&);                                \
    template void Linear<T>::forward(Cpu, const Context&, View<const T>, View<T>);        \
    template void Linear<T>::backward_input(Cpu, const Context&, View<const T>, View<T>); \
    template void Linear<T>::backward_weight(Cpu, const Context&, View<const T>, View<const T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void Linear<Bf16>::forward(Cpu, const Context&, View<const Bf16>, View<float>);

}  // namespace plumb
