#include "ops/reduce.h"

#include "core/parallel.h"
#include "core/simd.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

namespace plumb {
namespace {

Index row_length(const Shape& s) { return s.rank() == 0 ? 1 : s.count() / s.extent(0); }

}  // namespace

template <class T>
void copy(Cpu, const Context& ctx, View<const T> x, View<T> y) {
    const Index c = row_length(x.shape);
    for_chunks(ctx, x.extent(0), [&](Index begin, Index end, Index) {
        std::memcpy(y.data + begin * c, x.data + begin * c,
                    static_cast<std::size_t>((end - begin) * c) * sizeof(T));
    });
}

template <class T>
void widen(Cpu, const Context& ctx, View<const T> x, View<RealOf<T>> y) {
    const Index c = row_length(x.shape);
    for_tokens(ctx, x.extent(0), [&](Index n) { copy_row(x.data + n * c, y.data + n * c, c); });
}

template <class Real>
void clear(Cpu, const Context& ctx, View<Real> x) {
    const Index c = row_length(x.shape);
    for_chunks(ctx, x.extent(0), [&](Index begin, Index end, Index) {
        std::fill_n(x.data + begin * c, (end - begin) * c, Real(0));
    });
}

template <class Real>
void add_partials(Cpu, const Context&, View<const Real> partial, View<Real> out) {
    const Index c = out.count();
    for (Index k = 0; k < partial.extent(0); ++k) axpy(Real(1), partial.data + k * c, out.data, c);
}

template <class T>
void total_dot(Cpu, const Context& ctx, View<const T> a, View<const T> b, View<double> sum) {
    // A fixed number of slices of whole runs, whatever the threads.
    constexpr Index kSlices = 64, kRun = 1024;
    std::array<double, kSlices> sums{};
    const Index n = a.count(), slice = (n + kSlices * kRun - 1) / (kSlices * kRun) * kRun;
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (ctx.threads > 1 && n > kRun)
    for (Index k = 0; k < kSlices; ++k) {
        double own = 0;
        for (Index i = k * slice, end = std::min(n, i + slice); i < end; i += kRun)
            own += static_cast<double>(dot(a.data + i, b.data + i, std::min(kRun, end - i)));
        sums[static_cast<std::size_t>(k)] = own;
    }
    *sum.data = std::accumulate(sums.begin(), sums.end(), 0.0);
}

template <class Real>
bool all_finite(Cpu, const Context&, View<const Real> x) {
    return std::all_of(x.data, x.data + x.count(), [](Real a) { return std::isfinite(a); });
}

#define PLUMB_INSTANTIATE(T)                                                  \
    template void copy(Cpu, const Context&, View<const T>, View<T>);          \
    template void widen(Cpu, const Context&, View<const T>, View<RealOf<T>>); \
    template void total_dot(Cpu, const Context&, View<const T>, View<const T>, View<double>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void clear(Cpu, const Context&, View<float>);
template void clear(Cpu, const Context&, View<double>);
template void add_partials(Cpu, const Context&, View<const float>, View<float>);
template void add_partials(Cpu, const Context&, View<const double>, View<double>);
template bool all_finite(Cpu, const Context&, View<const float>);
template bool all_finite(Cpu, const Context&, View<const double>);

}  // namespace plumb
