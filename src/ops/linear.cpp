#include "ops/linear.h"

#include "core/gpu.h"

namespace plumb {

template <class T>
Linear<T>::Linear(Plan& plan, const std::string& name, const Param<Real>& w, Index tokens) : w_(w) {
    require(w && w.shape.rank() == 2,
            [&] { return fmt::format("Linear {}: w {}", name, w.shape.text()); });
    out_ = w.shape.extent(0), in_ = w.shape.extent(1);
    dispatch({plan.device()}, "linear", [&](auto device) { declare(device, plan, name, tokens); });
}

template <class T>
void Linear<T>::prepare(const Context& ctx) {
    const Timed timed(ctx.profile, Part::optimizer);
    dispatch(ctx, "linear", [&](auto device) { prepare(device, ctx); });
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
    check(x.extent(0), x.shape, y.shape);
    dispatch(ctx, "linear", [&](auto device) { forward(device, ctx, x, y); });
}

template <class T>
void Linear<T>::forward(const Context& ctx, View<const T> x,
                        View<Real> y) requires(!std::is_same_v<T, RealOf<T>>) {
    const Timed timed(ctx.profile, Part::gemm);
    check(x.extent(0), x.shape, y.shape);
    dispatch(ctx, "linear", [&](auto device) { forward(device, ctx, x, y); });
}

template <class T>
void Linear<T>::backward_input(const Context& ctx, View<const T> dy, View<T> dx) {
    const Timed timed(ctx.profile, Part::gemm);
    check(dy.extent(0), dx.shape, dy.shape);
    dispatch(ctx, "linear", [&](auto device) { backward_input(device, ctx, dy, dx); });
}

template <class T>
void Linear<T>::backward_weight(const Context& ctx, View<const T> dy, View<const T> x) {
    const Timed timed(ctx.profile, Part::gemm);
    check(dy.extent(0), x.shape, dy.shape);
    dispatch(ctx, "linear", [&](auto device) { backward_weight(device, ctx, dy, x); });
}

template <class T>
void Linear<T>::backward(const Context& ctx, View<const T> dy, View<const T> x, View<T> dx) {
    if (dx) backward_input(ctx, dy, dx);
    backward_weight(ctx, dy, x);
}

template <class T>
void Linear<T>::backward_beside(const Context& ctx, View<const T> dy, View<const T> x, View<T> dx) {
    if (ctx.device == Device::cpu) return backward(ctx, dy, x, dx);
    if (dx) backward_input(ctx, dy, dx);
    gpu::beside([&] { backward_weight(ctx, dy, x); });
}

template class Linear<float>;
template class Linear<double>;
template class Linear<Bf16>;

}  // namespace plumb
