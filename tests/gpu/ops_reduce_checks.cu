#include "gpu/ops_checks.h"
#include "ops/reduce.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

template <class T>
void check_copies(Report& report, long N, long C) {
    using Real = RealOf<T>;
    const auto n = static_cast<std::size_t>(N * C);
    Numbers x = drawn<T>("x", n + 1);
    x[n / 2] = NAN;
    check_op(report, op_name<T>("copy, widen, clear", N, C), [&] {
        const Buffer<T> from(x), to(n), at_odd(n);
        const Buffer<Real> wide(n), zero(n + 8);
        gpu::copy<T>(stream(), N * C, from, to);
        gpu::copy<T>(stream(), N * C, from.at(1), at_odd);  // not at 16 bytes
        gpu::widen<T>(stream(), N * C, from, wide);
        gpu::clear<Real>(stream(), N * C, zero);
        Outputs out;
        const Numbers begin(x.begin(), x.end() - 1), later(x.begin() + 1, x.end());
        Numbers zeros(n + 8, 0.0);
        std::fill(zeros.end() - 8, zeros.end(), NAN);  // not a number too many
        out.add_exact("copy", to.get(), begin);
        out.add_exact("copy from an odd place", at_odd.get(), later);
        out.add_exact("widen", wide.get(), begin);
        out.add_exact("clear", zero.get(), zeros);
        return out;
    });
}

template <class Real>
void check_partials(Report& report, long P, long C) {
    const auto rows = static_cast<std::size_t>(P), columns = static_cast<std::size_t>(C);
    const Numbers partial = drawn<Real>("partial", rows * columns),
                  before = drawn<Real>("out", columns);
    Numbers size(columns);
    for (std::size_t c = 0; c < columns; ++c) size[c] = std::abs(before[c]);
    for (std::size_t i = 0; i < partial.size(); ++i) size[i % columns] += std::abs(partial[i]);
    // A number goes through its slice's additions, then those of the slices; the CPU's through all.
    const double additions = static_cast<double>(sizeof(Real) == 8 ? P : (P + 31) / 32) + 33;
    for (double& s : size) s *= additions * Rounding<Real>::unit;
    check_op(report, op_name<Real>("add_partials", P, C), [&] {
        const Buffer<Real> in(partial), out(before);
        gpu::add_partials<Real>(stream(), P, C, in, out);
        Outputs o;
        o.add("out", out.get(), add_partials_reference(C, partial, before), size);
        return o;
    });
}

template <class T>
void check_dot(Report& report, long n) {
    using Real = RealOf<T>;
    const auto size = static_cast<std::size_t>(n);
    const Numbers a = drawn<T>("a", size), b = drawn<T>("b", size);
    double magnitude = 0;
    for (std::size_t i = 0; i < size; ++i) magnitude += std::abs(a[i] * b[i]);
    // 8 additions in Real, then in double; the CPU's runs are 1024 long.
    const double allowed = magnitude * (9 * Rounding<Real>::unit + 1200 * Rounding<double>::unit);
    check_op(report, op_name<T>("total_dot", 1, n), [&] {
        const Buffer<T> x(a), y(b);
        const Buffer<double> part(kDotBlocks), sum(1);
        gpu::total_dot<T>(stream(), n, x, y, part, sum);
        Outputs o;
        o.add("sum", sum.get(), {total_dot_reference(a, b)}, {allowed});
        return o;
    });
}

template <class Real>
void check_finite(Report& report, long n) {
    const auto size = static_cast<std::size_t>(n);
    Numbers x = drawn<Real>("x", size);
    check_op(report, op_name<Real>("all_finite", 1, n), [&] {
        const Buffer<double> part(kDotBlocks), count(1);
        Outputs o;
        int wrong = 0;
        const auto expect = [&](const char* what, double want) {
            const Buffer<Real> in(x);
            gpu::not_finite<Real>(stream(), n, in, part, count);
            o.add_exact(std::to_string(++wrong) + what, count.get(), {want});
        };
        const double kept = x[0], last = x[size - 1];
        expect(" of none", 0);
        x[size - 1] = -INFINITY;
        expect(" of an infinity at the end", 1);
        x[0] = NAN;
        expect(" of two", n > 1 ? 2 : 1);
        x[size - 1] = last, x[0] = n > 1 ? kept : last;
        return o;
    });
}

}  // namespace

void check_reduce(Report& report) {
    for_types([&](auto t) {
        using T = decltype(t);
        for (const auto& [N, C] : kOpShapes) check_copies<T>(report, N, C);
        for (const long n : {1L, 7L, 8L, 65L, 1032L, 3001L, 300007L}) check_dot<T>(report, n);
    });
    for_types([&](auto t) {
        using Real = decltype(t);
        if constexpr (sizeof(Real) > 2) {
            for (const auto& [P, C] : kOpShapes) check_partials<Real>(report, P, C);
            check_partials<Real>(report, 1057, 24);
            for (const long n : {1L, 8L, 1033L}) check_finite<Real>(report, n);
        }
    });
}

}  // namespace plumb::test
