#include "ops/activation.h"

#include "catch.h"
#include "check/gradient_check.h"
#include "ops/exp.h"
#include "support/bf16.h"

#include <bit>
#include <limits>
#include <numbers>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("activations against their formulas and differences", "[ops]") {
    for (const Activation kind : {Activation::swiglu, Activation::gelu})
        for (const Index f : {1, 7, 65}) {
            const Index width = kind == Activation::swiglu ? 2 * f : f;
            Array<double> up({{'N', 3}, {'F', width}}, "up"), a({{'N', 3}, {'F', f}}, 9.0);
            Array<double> da({{'N', 3}, {'F', f}}, "da"), dup({{'N', 3}, {'F', width}}, 9.0);
            up[0] = 30, up[1 % width] = -30;  // exp neither overflows nor makes a NaN
            activation<double>({}, kind, up, a);
            for (Index n = 0; n < 3; ++n)
                for (Index i = 0; i < f; ++i) {
                    const double x = up.row(n)[i];
                    const double gelu = 0.5 * x *
                                        (1 + std::tanh(std::sqrt(2 / std::numbers::pi) *
                                                       (x + 0.044715 * x * x * x)));
                    const double want = kind == Activation::swiglu
                                            ? x / (1 + std::exp(-x)) * up.row(n)[f + i]
                                            : gelu;
                    CHECK(std::abs(a.row(n)[i] - want) <= 1e-14 * std::max(1.0, std::abs(want)));
                }
            const std::vector<double> forward = a.values();
            activation_backward<double>({}, kind, up, da, dup, a);
            CHECK(relative_error(a.span(), std::span(forward)) <= 1e-15);  // written again
            std::vector<double> want(up.values().size());
            for (std::size_t i = 0; i < want.size(); ++i)
                want[i] = central_difference(
                    [&] {
                        activation<double>({}, kind, up, a);
                        return weighted_sum(a.values(), da.values());
                    },
                    up.values()[i]);
            CHECK(relative_error(dup.span(), std::span(want)) <= 1e-8);
        }
}

TEST_CASE("activations of Bf16 numbers are rounded once", "[ops]") {
    for (const Activation kind : {Activation::swiglu, Activation::gelu}) {
        const Index n = 65, f = 37, width = kind == Activation::swiglu ? 2 * f : f;
        Array<double> up({{'N', n}, {'F', width}}, "up"), da({{'N', n}, {'F', f}}, "da");
        Array<double> a({{'N', n}, {'F', f}}, 9.0), dup(up.view().shape, 9.0);
        Array<Bf16> up16 = rounded(up), da16 = rounded(da);
        Array<Bf16> a16(a.view().shape, Bf16(9.0F)), dup16(dup.view().shape, Bf16(9.0F));
        activation<double>({}, kind, up, a);
        activation<Bf16>({Device::cpu, 2}, kind, up16, a16);
        // Half a unit of Bf16, and the float inside: terms of order 1, a few roundings each.
        const double tolerance = kBf16Epsilon / 2 + 1e-5, floor = 1e-3;
        CHECK(worst_error(a16, a, floor) <= tolerance);
        activation_backward<double>({}, kind, up, da, dup, a);
        const std::vector<Bf16> forward = a16.values();
        activation_backward<Bf16>({Device::cpu, 2}, kind, up16, da16, dup16, a16);
        CHECK(worst_error(dup16, dup, floor) <= tolerance);
        CHECK(worst_error(a16, a, floor) <= tolerance);
    }
}

namespace {

// What an activation writes, forward and backward.
template <class T>
struct Written {
    Array<T> a, dup, again;  // again: a, written by backward
};

template <class T>
Written<T> run(const Context& ctx, Activation kind, const Array<T>& up, const Array<T>& da) {
    Written<T> w{Array<T>(View<const T>(da).shape, T(9.0F)),
                 Array<T>(View<const T>(up).shape, T(9.0F)),
                 Array<T>(View<const T>(da).shape, T(9.0F))};
    activation<T>(ctx, kind, up, w.a);
    activation_backward<T>(ctx, kind, up, da, w.dup, w.again);
    return w;
}

Shape wide(Activation kind, Index n, Index f) {
    return {{'N', n}, {'F', kind == Activation::swiglu ? 2 * f : f}};
}

}  // namespace

// Widths with and without whole lines, whole Vecs and a rest.
TEST_CASE("activations of floats against double", "[ops]") {
    const double eps = std::numeric_limits<float>::epsilon();
    for (const Activation kind : {Activation::swiglu, Activation::gelu})
        for (const Index f : {1, 7, 16, 37, 64, 88, 131}) {
            INFO(f);
            const Shape shape = wide(kind, 5, f), narrow{{'N', 5}, {'F', f}};
            Array<float> up(shape, "up"), da(narrow, "da");
            for (Index i = 0; i < up.size(); ++i) up[i] *= i % 3 == 0 ? 8.0F : 1.0F;
            Array<double> up64(shape, 0.0), da64(narrow, 0.0);
            std::copy_n(up.values().begin(), up.size(), up64.values().begin());
            std::copy_n(da.values().begin(), da.size(), da64.values().begin());
            Written<float> got = run<float>({}, kind, up, da);
            Written<double> want = run<double>({}, kind, up64, da64);
            CHECK(got.a.values() == got.again.values());
            double worst = 0;
            for (Index n = 0; n < 5; ++n)
                for (Index i = 0; i < f; ++i) {
                    const double x = up64.row(n)[i], d = da64.row(n)[i];
                    const bool gated = kind == Activation::swiglu;
                    const double v = gated ? up64.row(n)[f + i] : 1;
                    // exp makes of an error of its argument a relative one of what it gives.
                    const double t = gated ? x : 1.5958 * x * (1 + 0.044715 * x * x);
                    const double slope = gated ? 1 : 1.5958 * (1 + 3 * 0.044715 * x * x);
                    const double units = (gated ? 4 : 4 + 2 * std::abs(t)) * eps;
                    const double s = 1 / (1 + std::exp(-t)), size = std::abs(x) * s * (1 - s);
                    const auto check = [&](double mine, double its, double terms) {
                        constexpr double kSmallest = 1e-35;  // of floats, times x v d
                        const double bound = 2 * units * terms + kSmallest;
                        worst = worse(worst, std::abs(mine - its) / bound);
                    };
                    check(got.a.row(n)[i], want.a.row(n)[i], std::abs(x * s * v));
                    check(got.dup.row(n)[i], want.dup.row(n)[i],
                          std::abs(d * v) * (s + size * slope + eps * std::abs(x) * s * slope));
                    if (gated)
                        check(got.dup.row(n)[f + i], want.dup.row(n)[f + i], std::abs(d * x * s));
                }
            CHECK(worst <= 1);
        }
}

TEMPLATE_TEST_CASE("activations of huge numbers and NaN", "[ops]", float, Bf16) {
    using T = TestType;
    const float inf = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const Activation kind : {Activation::swiglu, Activation::gelu})
        for (const Index at : {0, 9, 70})  // in a line, in what is left over
            for (const float x : {100.0F, 1e4F, 3e5F, -88.5F, -100.0F, -1e4F, inf, -inf, nan}) {
                INFO(x << " at " << at);
                const Index f = 71;
                Array<T> up(wide(kind, 1, f), T(1.0F));
                const Array<T> da({{'N', 1}, {'F', f}}, T(1.0F));
                const Written<T> plain = run<T>({}, kind, up, da);
                up[at] = x;
                const Written<T> w = run<T>({}, kind, up, da);
                const float a = w.a[at], dup = w.dup[at];
                if (x == x && std::abs(x) < inf) {
                    CHECK(std::abs(a - (x > 0 ? static_cast<float>(up[at]) : 0)) <= 1e-30F);
                    CHECK(std::abs(dup - (x > 0 ? 1.0F : 0)) <= 1e-30F);
                } else {  // seen by whoever looks at the loss or the gradients
                    CHECK_FALSE(std::isfinite(a));
                    CHECK(std::isnan(dup));
                }
                if (std::isnan(x)) CHECK(std::isnan(a));
                Index others = 0;
                for (Index i = 0; i < f; ++i)
                    others += i != at && static_cast<float>(w.a[i]) == plain.a[i] &&
                              static_cast<float>(w.dup[i]) == plain.dup[i];
                CHECK(others == f - 1);
            }
    // Every NaN of Bf16 stays one, and so does the smallest of float.
    for (const unsigned bits : {0x7f81U, 0x7fffU, 0xffffU}) {
        Array<T> up({{'N', 1}, {'F', 64}}, T(1.0F));
        up[3] = std::bit_cast<float>(bits << 16 | (sizeof(T) == 4 ? 1U : 0U));
        const Array<T> da({{'N', 1}, {'F', 64}}, T(1.0F));
        const Written<T> w = run<T>({}, Activation::gelu, up, da);
        CHECK(std::isnan(static_cast<float>(w.a[3])));
        CHECK(std::isnan(static_cast<float>(w.dup[3])));
    }
}

TEMPLATE_TEST_CASE("activations give the same bits for any number of threads", "[ops]", float,
                   double, Bf16) {
    using T = TestType;
    for (const Activation kind : {Activation::swiglu, Activation::gelu}) {
        Array<double> some(wide(kind, 200, 45), "up"), more({{'N', 200}, {'F', 45}}, "da");
        Array<T> up(some.view().shape, T(0.0F)), da(more.view().shape, T(0.0F));
        for (Index i = 0; i < up.size(); ++i) up[i] = static_cast<float>(some[i]);
        for (Index i = 0; i < da.size(); ++i) da[i] = static_cast<float>(more[i]);
        const auto bytes = [](const Array<T>& x) {
            std::vector<double> all;
            for (Index i = 0; i < x.size(); ++i) all.push_back(static_cast<double>(x[i]));
            return all;
        };
        const Written<T> one = run<T>({}, kind, up, da);
        for (const int threads : {2, 3}) {
            const Written<T> w = run<T>({Device::cpu, threads}, kind, up, da);
            CHECK(bytes(w.a) == bytes(one.a));
            CHECK(bytes(w.dup) == bytes(one.dup));
            CHECK(bytes(w.again) == bytes(one.again));
        }
    }
}

TEST_CASE("exp of floats: 1.3 units, its ends, NaN", "[ops]") {
    double worst = 0;
    for (double x = -87.33; x < 88.72; x += 1e-3) {
        const auto arg = static_cast<float>(x);
        const double want = std::exp(static_cast<double>(arg));
        const double unit = std::ldexp(1.0, std::ilogb(want) - 23);
        const double error = std::abs(static_cast<double>(fast_exp(arg)) - want) / unit;
        if (!(error <= worst)) worst = error;
    }
    CHECK(worst <= 1.3);
    CHECK(fast_exp(0.0F) == 1.0F);
    const float inf = std::numeric_limits<float>::infinity();
    for (const float x : {-87.34F, -88.0F, -90.0F, -1e4F, -inf}) CHECK(fast_exp(x) == 0.0F);
    for (const float x : {88.73F, 1e4F, inf}) CHECK(fast_exp(x) == inf);
    CHECK(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
    CHECK(std::isnan(fast_exp(std::bit_cast<float>(0x7f800001U))));  // any bits of a NaN
}

TEST_CASE("exp of a Vec of floats is that of each, but at its ends", "[ops]") {
    const auto exp_of = [](float x) { return fast_exp(Vec<float>{} + x)[1]; };
    double worst = 0;
    for (float x = -87.3F; x < 88.37F; x += 1.3e-3F) {
        const double want = fast_exp(x);
        const double e = std::abs(static_cast<double>(exp_of(x)) - want) / want;
        if (!(e <= worst)) worst = e;
    }
    CHECK(worst <= static_cast<double>(std::numeric_limits<float>::epsilon()));
    const float inf = std::numeric_limits<float>::infinity();
    for (const float x : {-87.4F, -100.0F, -1e4F, -inf}) {
        CHECK(exp_of(x) > 0);
        CHECK(exp_of(x) < 1.3e-38F);
    }
    for (const float x : {88.8F, 89.0F, 100.0F, 1e4F, inf}) CHECK(exp_of(x) == inf);
    for (const unsigned nan : {0x7f800001U, 0x7fffffffU, 0xffffffffU, 0xffc00000U})
        CHECK(std::isnan(exp_of(std::bit_cast<float>(nan))));
}
