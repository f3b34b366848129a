#include "gpu/ops_checks.h"
#include "ops/columns.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

struct ColumnShape {
    long N, P, Q, first;  // P of Q columns, from `first`
};
constexpr ColumnShape kColumnShapes[] = {{1, 1, 1, 0},      {3, 8, 24, 8},     {5, 7, 24, 11},
                                         {65, 8, 25, 8},    {65, 64, 192, 64}, {130, 248, 256, 8},
                                         {3, 1032, 1040, 0}};

template <class T>
void check_copies(Report& report, const ColumnShape& s) {
    const auto part = static_cast<std::size_t>(s.N * s.P),
               all = static_cast<std::size_t>(s.N * s.Q);
    const Numbers x = drawn<T>("part", part), whole = drawn<T>("whole", all);
    check_op(report, op_name<T>("put and take columns", s.N, s.P), [&] {
        const Buffer<T> from(x), to(whole), back(part);
        gpu::take_columns<T>(stream(), s.N, s.P, to, s.Q, s.first, back);
        gpu::put_columns<T>(stream(), s.N, s.P, from, s.first, s.Q, to);
        const auto want = columns_reference<T>(s.P, s.first, s.Q, x, whole);
        Outputs o;
        o.add_exact("take", back.get(), want.taken);
        o.add_exact("put", to.get(), want.put);
        return o;
    });
}

template <class T>
void check_sums(Report& report, const ColumnShape& s, bool add) {
    using Real = RealOf<T>;
    const auto part = static_cast<std::size_t>(s.N * s.P),
               all = static_cast<std::size_t>(s.N * s.Q);
    const Numbers from = drawn<T>("from", all), to = drawn<T>("to", all), dto = drawn<T>("d", all),
                  before = drawn<Real>("dfrom", part), scale = drawn<Real>("scale", 1),
                  dscale = drawn<Real>("dscale", 1);
    const LastColumnsReference want =
        last_columns_reference(s.P, s.Q, from, scale[0], to, dto, add, before, dscale[0]);
    const double u = Rounding<Real>::unit, own = Rounding<T>::unit;
    const auto last = [&](const Numbers& x, std::size_t i) {
        const long n = static_cast<long>(i) / s.P, c = static_cast<long>(i) % s.P;
        return x[static_cast<std::size_t>(n * s.Q + s.Q - s.P + c)];
    };
    Numbers to_allowed(all), x_allowed(all), d_allowed(part);
    double sum = std::abs(dscale[0]);
    for (std::size_t i = 0; i < all; ++i) {
        to_allowed[i] = 2 * u * (std::abs(to[i]) + std::abs(scale[0] * from[i])) +
                        own * std::abs(want.to[i]) * (1 + 2 * u);
        x_allowed[i] = 2 * own * std::abs(want.with_x[i]) + 2 * u * std::abs(to[i]);
    }
    for (std::size_t i = 0; i < part; ++i) {
        d_allowed[i] = 2 * u * (std::abs(before[i]) + std::abs(scale[0] * last(dto, i)));
        sum += std::abs(last(dto, i) * last(from, i));
    }
    const double additions = static_cast<double>(sizeof(Real) == 8 ? 64 * s.P : s.P / 4 + 8) + 60;
    check_op(report, op_name<T>(add ? "last columns, added" : "last columns", s.N, s.P), [&] {
        const Buffer<T> f(from), y(to), y2(to), d(dto);
        const Buffer<Real> k(scale), x(before), dfrom(before), dk(dscale),
            sums(static_cast<std::size_t>((s.N + kChunk - 1) / kChunk));
        gpu::add_last_columns<T>(stream(), s.N, s.P, f, s.Q, k, y, s.Q);
        gpu::add_to_last_columns<T>(stream(), s.N, s.P, x, y2, s.Q);
        gpu::add_last_columns_backward<T>(stream(), s.N, s.P, f, s.Q, k, d, s.Q, add, sums, dk,
                                          dfrom);
        Outputs o;
        o.add("to", y.get(), want.to, to_allowed);
        o.add("to += x", y2.get(), want.with_x, x_allowed);
        o.add("dfrom", dfrom.get(), want.dfrom, d_allowed);
        o.add("dscale", dk.get(), {want.dscale}, {additions * u * sum});
        return o;
    });
}

}  // namespace

void check_columns(Report& report) {
    for_types([&](auto t) {
        for (const ColumnShape& s : kColumnShapes) {
            check_copies<decltype(t)>(report, s);
            check_sums<decltype(t)>(report, s, s.N % 2 == 0);
            check_sums<decltype(t)>(report, s, s.N % 2 != 0);
        }
    });
}

}  // namespace plumb::test
