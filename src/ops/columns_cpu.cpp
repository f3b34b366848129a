#include "ops/columns.h"

#include "core/parallel.h"

#include <algorithm>

namespace plumb {

template <class T>
void put_columns(Cpu, const Context& ctx, View<const T> part, Index first, View<T> whole) {
    for_tokens(ctx, part.extent(0),
               [&](Index n) { std::copy_n(part.row(n), part.extent(1), whole.row(n) + first); });
}

template <class T>
void take_columns(Cpu, const Context& ctx, View<const T> whole, Index first, View<T> part) {
    for_tokens(ctx, part.extent(0),
               [&](Index n) { std::copy_n(whole.row(n) + first, part.extent(1), part.row(n)); });
}

template <class T>
void add_last_columns(Cpu, const Context& ctx, View<const T> from, Index width,
                      View<const RealOf<T>> scale, View<T> to) {
    const RealOf<T> s = scale.data[0];
    for_tokens(ctx, to.extent(0), [&](Index n) {
        const T* x = from.row(n) + from.extent(1) - width;
        T* y = to.row(n) + to.extent(1) - width;
        for (Index i = 0; i < width; ++i)
            y[i] = static_cast<T>(static_cast<RealOf<T>>(y[i]) + s * static_cast<RealOf<T>>(x[i]));
    });
}

template <class T>
void add_last_columns_backward(Cpu, const Context& ctx, View<const T> from,
                               View<const RealOf<T>> scale, View<const T> dto, bool add,
                               View<RealOf<T>> sums, View<RealOf<T>> dscale,
                               View<RealOf<T>> dfrom) {
    using Real = RealOf<T>;
    const Index rows = dfrom.extent(0), width = dfrom.extent(1);
    for_chunks(ctx, rows, [&](Index begin, Index end, Index chunk) {
        Real sum = 0;
        for (Index n = begin; n < end; ++n) {
            const T* x = from.row(n) + from.extent(1) - width;
            const T* d = dto.row(n) + dto.extent(1) - width;
            Real* dx = dfrom.row(n);
            for (Index i = 0; i < width; ++i) {
                const Real of = static_cast<Real>(d[i]);
                sum += of * static_cast<Real>(x[i]);
                dx[i] = (add ? dx[i] : Real(0)) + scale.data[0] * of;
            }
        }
        sums.data[chunk] = sum;
    });
    for (Index k = 0; k < sums.count(); ++k) dscale.data[0] += sums.data[k];
}

template <class T>
void add_to_last_columns(Cpu, const Context& ctx, View<const RealOf<T>> x, View<T> to) {
    const Index width = x.extent(1);
    for_tokens(ctx, to.extent(0), [&](Index n) {
        T* y = to.row(n) + to.extent(1) - width;
        for (Index i = 0; i < width; ++i)
            y[i] = static_cast<T>(static_cast<RealOf<T>>(y[i]) + x.row(n)[i]);
    });
}

#define PLUMB_INSTANTIATE(T)                                                                    \
    template void put_columns(Cpu, const Context&, View<const T>, Index, View<T>);              \
    template void take_columns(Cpu, const Context&, View<const T>, Index, View<T>);             \
    template void add_last_columns(Cpu, const Context&, View<const T>, Index,                   \
                                   View<const RealOf<T>>, View<T>);                             \
    template void add_last_columns_backward(Cpu, const Context&, View<const T>,                 \
                                            View<const RealOf<T>>, View<const T>, bool,         \
                                            View<RealOf<T>>, View<RealOf<T>>, View<RealOf<T>>); \
    template void add_to_last_columns(Cpu, const Context&, View<const RealOf<T>>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
