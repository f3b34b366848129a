#include "ops/columns.h"

namespace plumb {
namespace {

constexpr const char* kUnfit = "columns of a matrix with as many rows";

void check(const Shape& part, Index first, const Shape& whole) {
    require(part.rank() == 2 && whole.rank() == 2 && part.extent(0) == whole.extent(0) &&
                first >= 0 && first + part.extent(1) <= whole.extent(1),
            kUnfit);
}

}  // namespace

template <class T>
void put_columns(const Context& ctx, View<const T> part, Index first, View<T> whole) {
    check(part.shape, first, whole.shape);
    dispatch(ctx, "put_columns",
             [&](auto device) { put_columns<T>(device, ctx, part, first, whole); });
}

template <class T>
void take_columns(const Context& ctx, View<const T> whole, Index first, View<T> part) {
    check(part.shape, first, whole.shape);
    dispatch(ctx, "take_columns",
             [&](auto device) { take_columns<T>(device, ctx, whole, first, part); });
}

template <class T>
void add_last_columns(const Context& ctx, View<const T> from, Index width,
                      View<const RealOf<T>> scale, View<T> to) {
    require(from.extent(0) == to.extent(0) && width <= from.extent(1) && width <= to.extent(1),
            kUnfit);
    dispatch(ctx, "add_last_columns",
             [&](auto device) { add_last_columns<T>(device, ctx, from, width, scale, to); });
}

template <class T>
void add_last_columns_backward(const Context& ctx, View<const T> from, View<const RealOf<T>> scale,
                               View<const T> dto, bool add, View<RealOf<T>> sums,
                               View<RealOf<T>> dscale, View<RealOf<T>> dfrom) {
    const Index rows = dfrom.extent(0), width = dfrom.extent(1);
    require(from.extent(0) == rows && dto.extent(0) == rows && width <= from.extent(1) &&
                width <= dto.extent(1) && sums.count() == n_chunks(rows),
            kUnfit);
    dispatch(ctx, "add_last_columns_backward", [&](auto device) {
        add_last_columns_backward<T>(device, ctx, from, scale, dto, add, sums, dscale, dfrom);
    });
}

template <class T>
void add_to_last_columns(const Context& ctx, View<const RealOf<T>> x, View<T> to) {
    require(x.extent(0) == to.extent(0) && x.extent(1) <= to.extent(1), kUnfit);
    dispatch(ctx, "add_to_last_columns",
             [&](auto device) { add_to_last_columns<T>(device, ctx, x, to); });
}

#define PLUMB_INSTANTIATE(T)                                                                       \
    template void put_columns(const Context&, View<const T>, Index, View<T>);                      \
    template void take_columns(const Context&, View<const T>, Index, View<T>);                     \
    template void add_last_columns(const Context&, View<const T>, Index, View<const RealOf<T>>,    \
                                   View<T>);                                                       \
    template void add_last_columns_backward(const Context&, View<const T>, View<const RealOf<T>>,  \
                                            View<const T>, bool, View<RealOf<T>>, View<RealOf<T>>, \
                                            View<RealOf<T>>);                                      \
    template void add_to_last_columns(const Context&, View<const RealOf<T>>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
