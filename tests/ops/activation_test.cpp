#include "ops/activation.h"

#include "catch.h"
#include "experiment/gradient_check.h"
#include "support/random.h"

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
