#include "ops/linear_decode.h"

namespace plumb {

template <class T>
void linear_decode(const Context& ctx, View<const T> x, View<const RealOf<T>> w, View<T> y) {
    const Timed timed(ctx.profile, Part::gemm);
    const Index n = x.extent(0), in = w.extent(1), out = w.extent(0);
    require(x.extent(1) == in && y.extent(0) == n && y.extent(1) == out, [&] {
        return fmt::format("linear_decode: x {}, w {}, y {}", x.shape.text(), w.shape.text(),
                           y.shape.text());
    });
    dispatch(ctx, "linear_decode", [&](auto device) { linear_decode<T>(device, ctx, x, w, y); });
}

template void linear_decode(const Context&, View<const float>, View<const float>, View<float>);
template void linear_decode(const Context&, View<const double>, View<const double>, View<double>);

}  // namespace plumb
