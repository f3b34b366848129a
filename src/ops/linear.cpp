#include "ops/linear.h"

#include "core/dispatch.h"
#include "ops/matmul.h"

namespace plumb {

template <class T>
Linear<T>::Linear(Plan& plan, const std::string& name, const Param<Real>& w, Index tokens) : w_(w) {
    require(w && w.shape.rank() == 2,
            [&] { return fmt::format("Linear {}: w {}", name, w.shape.text()); });
    out_ = w.shape.extent(0), in_ = w.shape.extent(1);
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
void Linear<T>::prepare(const Context& ctx) {
    const Timed timed(ctx.profile, Part::optimizer);
    if constexpr (std::is_same_v<Real, float>)
        if (products_)
            dispatch(ctx, "linear", [&](Cpu) { products_->pack(ctx, ctx.value(w_).data); });
}

template <class T>
void Linear<T>::check(Index n, const Shape& wide_in, const Shape& wide_out) const {
    const auto is = [n](const Shape& s, Index cols) {
        return s.rank() == 2 && s.extent(0) == n && s.extent(1) == cols;
    };
    require(w_ && is(wide_in, in_) && is(wide_out, out_), [&] {
        return fmt::format("Linear ({}, {}): x or dx {}, y or dy {}", out_, in_, wide_in.text(),
                           wide_out.text());
    });
}

template <class T>
void Linear<T>::forward(const Context& ctx, View<const T> x, View<T> y) {
    const Timed timed(ctx.profile, Part::gemm);
    const Index n = x.extent(0);
    check(n, x.shape, y.shape);
    if (products_)
        return dispatch(ctx, "linear", [&](Cpu) { products_->forward(ctx, n, x.data, y.data); });
    if constexpr (std::is_same_v<T, Real>)
        gemm(ctx, Op::none, Op::transpose, n, out_, in_, T(1), x.data, in_, ctx.value(w_).data, in_,
             T(0), y.data, out_);
}

template <class T>
void Linear<T>::forward(const Context& ctx, View<const T> x,
                        View<Real> y) requires(!std::is_same_v<T, RealOf<T>>) {
    const Timed timed(ctx.profile, Part::gemm);
    check(x.extent(0), x.shape, y.shape);
    dispatch(ctx, "linear",
             [&](Cpu) { products_->forward_sums(ctx, x.extent(0), x.data, y.data); });
}

template <class T>
void Linear<T>::backward_input(const Context& ctx, View<const T> dy, View<T> dx) {
    const Timed timed(ctx.profile, Part::gemm);
    const Index n = dy.extent(0);
    check(n, dx.shape, dy.shape);
    if constexpr (std::is_same_v<T, Bf16>)
        dispatch(ctx, "linear", [&](Cpu) { products_->backward_input(ctx, n, dy.data, dx.data); });
    else
        gemm(ctx, Op::none, Op::none, n, in_, out_, T(1), dy.data, out_, ctx.value(w_).data, in_,
             T(0), dx.data, in_);
}

template <class T>
void Linear<T>::backward_weight(const Context& ctx, View<const T> dy, View<const T> x) {
    const Timed timed(ctx.profile, Part::gemm);
    const Index n = dy.extent(0);
    check(n, x.shape, dy.shape);
    Real* dw = ctx.grad(w_).data;
    if constexpr (std::is_same_v<T, Bf16>)
        dispatch(ctx, "linear",
                 [&](Cpu) { products_->backward_weight(ctx, n, dy.data, x.data, dw); });
    else
        gemm(ctx, Op::transpose, Op::none, out_, in_, n, T(1), dy.data, out_, x.data, in_, T(1), dw,
             in_);
}

template <class T>
void Linear<T>::backward(const Context& ctx, View<const T> dy, View<const T> x, View<T> dx) {
    if (dx) backward_input(ctx, dy, dx);
    backward_weight(ctx, dy, x);
}

template class Linear<float>;
template class Linear<double>;
template class Linear<Bf16>;

}  // namespace plumb
