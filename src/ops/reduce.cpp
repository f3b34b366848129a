#include "ops/reduce.h"

#include "core/dispatch.h"
#include "core/parallel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

namespace plumb {
namespace {

Index row_length(const Shape& s) { return s.rank() == 0 ? 1 : s.count() / s.extent(0); }

}  // namespace

template <class Real>
void add(const Context& ctx, View<const Real> x, View<Real> y) {
    require(x.shape == y.shape, "add: shapes differ");
    const Index c = row_length(x.shape);
    dispatch(ctx, "add", [&](Cpu) {
        for_chunks(ctx, x.extent(0), [&](Index begin, Index end, Index) {
            axpy(Real(1), x.data + begin * c, y.data + begin * c, (end - begin) * c);
        });
    });
}

template <class Real>
void copy(const Context& ctx, View<const Real> x, View<Real> y) {
    require(x.count() == y.count(), "copy: counts differ");
    const Index c = row_length(x.shape);
    dispatch(ctx, "copy", [&](Cpu) {
        for_chunks(ctx, x.extent(0), [&](Index begin, Index end, Index) {
            std::memcpy(y.data + begin * c, x.data + begin * c,
                        static_cast<std::size_t>((end - begin) * c) * sizeof(Real));
        });
    });
}

template <class Real>
void add_partials(View<const Real> partial, Index chunks, View<Real> out) {
    const Index c = out.count();
    for (Index k = 0; k < chunks; ++k) axpy(Real(1), partial.data + k * c, out.data, c);
}

template <class Real>
double total_dot(const Context& ctx, View<const Real> a, View<const Real> b) {
    require(a.count() == b.count(), "total_dot: counts differ");
    const Index c = row_length(a.shape), n = a.extent(0);
    // A fixed number of slices, whatever the threads: rows summed in Real, slices in double.
    constexpr Index kSlices = 64;
    std::array<double, kSlices> sums{};
    const Index rows = (n + kSlices - 1) / kSlices;
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (ctx.threads > 1)
    for (Index k = 0; k < kSlices; ++k)
        for (Index i = k * rows; i < std::min(n, (k + 1) * rows); ++i)
            sums[static_cast<std::size_t>(k)] +=
                static_cast<double>(dot(a.data + i * c, b.data + i * c, c));
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

template <class Real>
double rms(const Context& ctx, View<const Real> x) {
    return std::sqrt(total_dot(ctx, x, x) / static_cast<double>(x.count()));
}

#define PLUMB_INSTANTIATE(Real)                                                    \
    template void add(const Context&, View<const Real>, View<Real>);               \
    template void copy(const Context&, View<const Real>, View<Real>);              \
    template void add_partials(View<const Real>, Index, View<Real>);               \
    template double total_dot(const Context&, View<const Real>, View<const Real>); \
    template double rms(const Context&, View<const Real>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
