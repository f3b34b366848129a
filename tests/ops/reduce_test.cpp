#include "ops/reduce.h"

#include "catch.h"
#include "support/bf16.h"

using namespace plumb;
using namespace plumb::test;

namespace {

template <class T>
double dot_of(const Context& ctx, View<const T> a, View<const T> b) {
    double sum = NAN;  // what was there has no say
    total_dot<T>(ctx, a, b, host_scalar(sum));
    return sum;
}

}  // namespace

TEST_CASE("reductions over tokens", "[ops]") {
    const Index n = 2 * kTokenChunk + 5, c = 7;
    Array<double> x({{'N', n}, {'C', c}}, "x"), y({{'N', n}, {'C', c}}, "y");
    double want = 0;
    for (Index i = 0; i < x.size(); ++i) want += x[i] * y[i];
    CHECK(std::abs(dot(x.values().data(), y.values().data(), x.size()) - want) <= 1e-11);
    CHECK(std::abs(dot_of<double>({}, x, y) - want) <= 1e-11);
    CHECK(dot_of<double>({}, x, y) == dot_of<double>({Device::cpu, 2}, x, y));

    Array<double> twin(x.view().shape, 9.0), scaled = y;
    copy<double>({}, x, twin);
    axpy(0.5, x.values().data(), scaled.values().data(), x.size());
    CHECK(twin.values() == x.values());
    for (Index i = 0; i < x.size(); ++i) {
        CHECK(std::abs(scaled[i] - (y[i] + 0.5 * x[i])) <= 1e-15);
    }

    Array<double> partial({{'P', 3}, {'C', 2}}, "partial"), out({{'C', 2}}, 1.0);
    add_partials<double>({}, partial, out);
    for (Index k = 0; k < 2; ++k)
        CHECK(std::abs(out[k] - (1 + partial.row(0)[k] + partial.row(1)[k] + partial.row(2)[k])) <=
              1e-15);
}

TEST_CASE("reductions of Bf16 numbers are computed in float", "[ops]") {
    const Index n = 70, c = 33;
    Array<double> x({{'N', n}, {'C', c}}, "x"), y({{'N', n}, {'C', c}}, "y");
    Array<Bf16> x16 = rounded(x), y16 = rounded(y), twin(x.view().shape, Bf16(9.0F));
    Array<float> y32(y.view().shape, 0.0F);
    for (Index i = 0; i < y.size(); ++i) y32[i] = static_cast<float>(y[i]);
    // Products of Bf16 are exact in float; n c additions of order 1 round.
    const double tolerance = static_cast<double>(n * c) * 6e-8;
    const double want = dot_of<double>({}, x, y);
    CHECK(std::abs(dot_of<Bf16>({}, x16, y16) - want) <= tolerance * 10);
    CHECK(dot_of<Bf16>({}, x16, y16) == dot_of<Bf16>({Device::cpu, 2}, x16, y16));
    CHECK(dot(x16.row(0), y32.row(0), c) == dot(x16.row(0), y16.row(0), c));
    copy<Bf16>({}, x16, twin);
    CHECK(worst_error(twin, x, 1e-9) <= 0);
}

TEST_CASE("total_dot covers every number, whatever the count", "[ops]") {
    for (const Index n : {1, 1023, 1024, 1025, 65536, 65537, 70001}) {
        Array<double> x({{'P', n}}, 1.0);
        INFO(n);
        CHECK(dot_of<double>({Device::cpu, 2}, x, x) == static_cast<double>(n));
    }
}

TEST_CASE("all_finite sees any number that is not, wherever it is", "[ops]") {
    for (const double bad : {double{INFINITY}, double{-INFINITY}, double{NAN}})
        for (const Index at : {0, 700, 2104}) {
            Array<float> x({{'N', 5}, {'C', 421}}, 1.0F);
            CHECK(all_finite<float>({}, x));
            x[at] = static_cast<float>(bad);
            CHECK_FALSE(all_finite<float>({}, x));
        }
}
