#include "ops/linear.cuh"

#include "core/gpu_stream.h"
#include "ops/linear.h"
#include "ops/matmul.cuh"

namespace plumb {

template <class T>
void Linear<T>::declare(Cuda, Plan& plan, const std::string& name, Index) {
    if constexpr (!std::is_same_v<T, Real>)
        rounded_ = plan.saved<T>(name + ".rounded", {{'O', out_}, {'I', in_}});
}

template <class T>
void Linear<T>::prepare(Cuda, const Context& ctx) {
    if constexpr (!std::is_same_v<T, Real>)
        gpu::round_weights(gpu::stream(), out_ * in_, ctx.value(w_).data, ctx(rounded_).data);
}

template <class T>
const T* Linear<T>::operand(const Context& ctx) const {
    if constexpr (std::is_same_v<T, Real>)
        return ctx.value(w_).data;
    else
        return ctx(rounded_).data;
}

template <class T>
template <class Y>
void Linear<T>::forward(Cuda, const Context& ctx, View<const T> x, View<Y> y) {
    gpu::product({Op::none, Op::transpose, x.extent(0), out_, in_, in_, in_, out_}, Real(1), x.data,
                 operand(ctx), Real(0), y.data);
}

template <class T>
void Linear<T>::backward_input(Cuda, const Context& ctx, View<const T> dy, View<T> dx) {
    gpu::product({Op::none, Op::none, dy.extent(0), in_, out_, out_, in_, in_}, Real(1), dy.data,
                 operand(ctx), Real(0), dx.data);
}

template <class T>
void Linear<T>::backward_weight(Cuda, const Context& ctx, View<const T> dy, View<const T> x) {
    gpu::product({Op::transpose, Op::none, out_, in_, dy.extent(0), out_, in_, in_}, Real(1),
                 dy.data, x.data, Real(1), ctx.grad(w_).data);
}

#define PLUMB_INSTANTIATE(T)                                                               \
    template void Linear<T>::declare(Cuda, Plan&, const std::string&, Index);              \
    template void Linear<T>::prepare(Cuda, const Context&);                                \
    template void Linear<T>::forward(Cuda, const Context&, View<const T>, View<T>);        \
    template void Linear<T>::backward_input(Cuda, const Context&, View<const T>, View<T>); \
    template void Linear<T>::backward_weight(Cuda, const Context&, View<const T>, View<const T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void Linear<Bf16>::forward(Cuda, const Context&, View<const Bf16>, View<float>);

}  // namespace plumb
