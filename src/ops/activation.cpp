#include "ops/activation.h"

namespace plumb {

template <class T>
void activation(const Context& ctx, Activation kind, View<const T> up, View<T> a) {
    const Timed timed(ctx.profile, Part::activation);
    const Index f = a.extent(1);
    require(up.extent(1) == (kind == Activation::swiglu ? 2 * f : f), "activation: width of up");
    dispatch(ctx, "activation", [&](auto device) { activation<T>(device, ctx, kind, up, a); });
}

template <class T>
void activation_backward(const Context& ctx, Activation kind, View<const T> up, View<const T> da,
                         View<T> dup, View<T> a) {
    const Timed timed(ctx.profile, Part::activation);
    require(da.shape == a.shape && dup.shape == up.shape, "activation_backward: shapes differ");
    dispatch(ctx, "activation_backward",
             [&](auto device) { activation_backward<T>(device, ctx, kind, up, da, dup, a); });
}

#define PLUMB_INSTANTIATE(T)                                                                    \
    template void activation(const Context&, Activation, View<const T>, View<T>);               \
    template void activation_backward(const Context&, Activation, View<const T>, View<const T>, \
                                      View<T>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
