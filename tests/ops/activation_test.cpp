#include "ops/activation.h"

#include "catch.h"
#include "check/gradient_check.h"
#include "ops/exp.h"
#include "support/bf16.h"

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
