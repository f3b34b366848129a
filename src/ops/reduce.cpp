#include "ops/reduce.h"

namespace plumb {

template <class T>
void copy(const Context& ctx, View<const T> x, View<T> y) {
    require(x.count() == y.count(), "copy: counts differ");
    dispatch(ctx, "copy", [&](auto device) { copy<T>(device, ctx, x, y); });
}

template <class T>
void widen(const Context& ctx, View<const T> x, View<RealOf<T>> y) {
    require(x.count() == y.count(), "widen: counts differ");
    dispatch(ctx, "widen", [&](auto device) { widen<T>(device, ctx, x, y); });
}

template <class Real>
void clear(const Context& ctx, View<Real> x) {
    dispatch(ctx, "clear", [&](auto device) { clear<Real>(device, ctx, x); });
}

template <class Real>
void add_partials(const Context& ctx, View<const Real> partial, View<Real> out) {
    require(partial.count() == partial.extent(0) * out.count(), "add_partials: counts differ");
    dispatch(ctx, "add_partials",
             [&](auto device) { add_partials<Real>(device, ctx, partial, out); });
}

template <class T>
void total_dot(const Context& ctx, View<const T> a, View<const T> b, View<double> sum) {
    require(a.count() == b.count() && sum.count() == 1, "total_dot: counts differ");
    dispatch(ctx, "total_dot", [&](auto device) { total_dot<T>(device, ctx, a, b, sum); });
}

template <class Real>
bool all_finite(const Context& ctx, View<const Real> x) {
    bool all = false;
    dispatch(ctx, "all_finite", [&](auto device) { all = all_finite<Real>(device, ctx, x); });
    return all;
}

#define PLUMB_INSTANTIATE(T)                                             \
    template void copy(const Context&, View<const T>, View<T>);          \
    template void widen(const Context&, View<const T>, View<RealOf<T>>); \
    template void total_dot(const Context&, View<const T>, View<const T>, View<double>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void clear(const Context&, View<float>);
template void clear(const Context&, View<double>);
template void add_partials(const Context&, View<const float>, View<float>);
template void add_partials(const Context&, View<const double>, View<double>);
template bool all_finite(const Context&, View<const float>);
template bool all_finite(const Context&, View<const double>);

}  // namespace plumb
