#include "ops/columns.h"

#include "core/dispatch.h"
#include "core/parallel.h"

#include <algorithm>

namespace plumb {
namespace {

void check(const Shape& part, Index first, const Shape& whole) {
    require(part.rank() == 2 && whole.rank() == 2 && part.extent(0) == whole.extent(0) &&
                first >= 0 && first + part.extent(1) <= whole.extent(1),
            "columns of a matrix with as many rows");
}

}  // namespace

template <class T>
void put_columns(const Context& ctx, View<const T> part, Index first, View<T> whole) {
    check(part.shape, first, whole.shape);
    dispatch(ctx, "put_columns", [&](Cpu) {
        for_tokens(ctx, part.extent(0), [&](Index n) {
            std::copy_n(part.row(n), part.extent(1), whole.row(n) + first);
        });
    });
}

template <class T>
void take_columns(const Context& ctx, View<const T> whole, Index first, View<T> part) {
    check(part.shape, first, whole.shape);
    dispatch(ctx, "take_columns", [&](Cpu) {
        for_tokens(ctx, part.extent(0), [&](Index n) {
            std::copy_n(whole.row(n) + first, part.extent(1), part.row(n));
        });
    });
}

#define PLUMB_INSTANTIATE(T)                                                  \
    template void put_columns(const Context&, View<const T>, Index, View<T>); \
    template void take_columns(const Context&, View<const T>, Index, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
