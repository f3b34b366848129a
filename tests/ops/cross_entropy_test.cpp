#include "ops/cross_entropy.h"

#include "catch.h"
#include "check/gradient_check.h"
#include "support/bf16.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("cross-entropy and its gradient, with positions that are not scored", "[ops]") {
    const Index n = kTokenChunk + 3, v = 5;
    Array<double> logits({{'N', n}, {'V', v}}, "logits"), losses({{'N', n}}, 9.0);
    Array<std::int32_t> targets({{'N', n}}, 0);
    Index scored = 0;
    for (Index i = 0; i < n; ++i) {
        targets[i] = i % 3 == 2 ? -1 : static_cast<std::int32_t>(i % v);
        scored += targets[i] >= 0;
    }
    logits.row(0)[1] = 800;  // a plain exp would overflow
    const double sum = cross_entropy<double>({}, logits, targets, losses);
    double total = 0;
    for (Index i = 1; i < n; ++i) {
        double masses = 0;
        for (Index k = 0; k < v; ++k) masses += std::exp(logits.row(i)[k]);
        const double want = targets[i] < 0 ? 0 : std::log(masses) - logits.row(i)[targets[i]];
        CHECK(std::abs(losses[i] - want) <= 1e-14);
        total += want;
    }
    const double first = 800 - logits.row(0)[0];
    CHECK(std::abs(losses[0] - first) <= 1e-12);
    CHECK(n_scored({}, targets) == scored);
    CHECK(std::abs(sum - (total + first)) <= 1e-12 * static_cast<double>(scored));

    Array<double> gradient = logits;
    Array<double> again({{'N', n}}, 9.0);
    const double sum_again =
        cross_entropy_gradient<double>({}, gradient, targets, again, 2.0, gradient);  // in place
    CHECK(std::abs(sum_again - sum) <= 1e-12 * static_cast<double>(scored));
    CHECK(relative_error(again.span(), losses.span()) <= 1e-15);
    std::vector<double> want(logits.values().size());
    for (std::size_t i = 0; i < want.size(); ++i)
        want[i] = 2 * central_difference(
                          [&] { return cross_entropy<double>({}, logits, targets, losses); },
                          logits.values()[i]);
    CHECK(relative_error(gradient.span(), std::span(want)) <= 1e-8);
    for (Index k = 0; k < v; ++k) CHECK(gradient.row(2)[k] == 0);
}

TEST_CASE("cross-entropy: equal logits give log V, nothing scored gives 0, NaN stays", "[ops]") {
    Array<double> logits({{'N', 2}, {'V', 8}}, 1.5), losses({{'N', 2}}, 9.0);
    Array<std::int32_t> targets({{'N', 2}}, 3);
    CHECK(std::abs(cross_entropy<double>({}, logits, targets, losses) / 2 - std::log(8.0)) <=
          1e-15);
    logits.row(1)[3] = std::numeric_limits<double>::quiet_NaN();
    CHECK(std::isnan(cross_entropy<double>({}, logits, targets, losses)));
    targets[0] = targets[1] = -1;
    CHECK(cross_entropy<double>({}, logits, targets, losses) == 0);
    CHECK(cross_entropy_gradient<double>({}, logits, targets, losses, 1.0, logits) == 0);
    for (const double g : logits.values()) CHECK(g == 0);
}

TEST_CASE("cross-entropy of float logits, its gradient in float and in Bf16", "[ops]") {
    const Index n = 2 * kTokenChunk + 3, v = 67;
    Array<double> logits({{'N', n}, {'V', v}}, "logits"), losses({{'N', n}}, 9.0);
    Array<float> logits32(logits.view().shape, 0.0F), losses32({{'N', n}}, 9.0F);
    Array<std::int32_t> targets({{'N', n}}, 0);
    for (Index i = 0; i < logits.size(); ++i) {
        logits32[i] = static_cast<float>(4 * logits[i]);
        logits[i] = static_cast<double>(logits32[i]);
    }
    for (Index i = 0; i < n; ++i) targets[i] = static_cast<std::int32_t>(i % (v + 1)) - 1;
    const auto scored = static_cast<double>(n_scored({}, targets));
    const double mean = cross_entropy<double>({}, logits, targets, losses) / scored;
    const double mean32 =
        cross_entropy<float>({Device::cpu, 2}, logits32, targets, losses32) / scored;
    Array<float> copy32 = logits32;
    // |lse| < 20: its rounding, a unit of 2^-20, is the relative error of every probability.
    const double lse_error = 2e-6;
    CHECK(std::abs(mean32 - mean) <= lse_error);

    const double floor = 1e-30;
    Array<Bf16> d16(logits.view().shape, Bf16(9.0F));
    cross_entropy_gradient<Bf16>({Device::cpu, 2}, copy32, targets, losses32, 2.0F, d16);
    cross_entropy_gradient<double>({}, logits, targets, losses, 2.0, logits);
    cross_entropy_gradient<float>({Device::cpu, 2}, logits32, targets, losses32, 2.0F, logits32);
    // p - 1 of the target cancels: at worst a probability's error relative to 1 - p > 1e-3.
    CHECK(worst_error(logits32, logits, floor) <= 1e3 * lse_error);
    CHECK(worst_error(d16, logits, floor) <= kBf16Epsilon / 2 + 1e3 * lse_error);
    for (Index k = 0; k < v; ++k) CHECK(static_cast<float>(d16.row(0)[k]) == 0.0F);  // not scored
}
