#include "ops/cross_entropy.h"

#include "catch.h"
#include "check/gradient_check.h"
#include "support/bf16.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// The sum of the tokens' losses, of which each that is scored counts once.
template <class Real>
double sum_of(const Array<Real>& losses) {
    const double one = 1;
    double sum = NAN;
    mean_loss<Real>({}, losses, host_scalar(one), host_scalar(sum));
    return sum;
}

template <class Real>
double summed(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
              Array<Real>& losses) {
    cross_entropy<Real>(ctx, logits, targets, losses);
    return sum_of(losses);
}

// dlogits of `weight` times the sum.
template <class T>
double gradient_of(const Context& ctx, double weight, View<RealOf<T>> logits,
                   View<const std::int32_t> targets, Array<RealOf<T>>& losses, View<T> dlogits) {
    const auto scored = static_cast<double>(n_scored(ctx, targets));
    cross_entropy_gradient<T>(ctx, logits, targets, losses, static_cast<RealOf<T>>(weight * scored),
                              host_scalar(scored), dlogits);
    return sum_of(losses);
}

}  // namespace

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
    const double sum = summed<double>({}, logits, targets, losses);
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
        gradient_of<double>({}, 2.0, gradient, targets, again, gradient);  // in place
    CHECK(std::abs(sum_again - sum) <= 1e-12 * static_cast<double>(scored));
    CHECK(relative_error(again.span(), losses.span()) <= 1e-15);
    std::vector<double> want(logits.values().size());
    for (std::size_t i = 0; i < want.size(); ++i)
        want[i] =
            2 * central_difference([&] { return summed<double>({}, logits, targets, losses); },
                                   logits.values()[i]);
    CHECK(relative_error(gradient.span(), std::span(want)) <= 1e-8);
    for (Index k = 0; k < v; ++k) CHECK(gradient.row(2)[k] == 0);
}

TEST_CASE("cross-entropy: equal logits give log V, nothing scored gives 0, NaN stays", "[ops]") {
    Array<double> logits({{'N', 2}, {'V', 8}}, 1.5), losses({{'N', 2}}, 9.0);
    Array<std::int32_t> targets({{'N', 2}}, 3);
    CHECK(std::abs(summed<double>({}, logits, targets, losses) / 2 - std::log(8.0)) <= 1e-15);
    logits.row(1)[3] = std::numeric_limits<double>::quiet_NaN();
    CHECK(std::isnan(summed<double>({}, logits, targets, losses)));
    targets[0] = targets[1] = -1;
    CHECK(summed<double>({}, logits, targets, losses) == 0);
    double scored = NAN, mean = NAN;
    n_scored({}, targets, host_scalar(scored));
    mean_loss<double>({}, losses, host_scalar(scored), host_scalar(mean));
    CHECK(scored == 0);
    CHECK(mean == 0);
    CHECK(gradient_of<double>({}, 1.0, logits, targets, losses, logits) == 0);
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
    const auto mean_of = [&](auto& z, auto& each) {
        using Real = std::remove_cvref_t<decltype(z[0])>;
        double mean = NAN;
        cross_entropy<Real>({Device::cpu, 2}, z, targets, each);
        mean_loss<Real>({}, each, host_scalar(scored), host_scalar(mean));
        return mean;
    };
    const double mean = mean_of(logits, losses), mean32 = mean_of(logits32, losses32);
    double by_hand = 0;
    for (const double loss : losses.values()) by_hand += loss / scored;
    CHECK(mean == Approx(by_hand).epsilon(1e-14));
    Array<float> copy32 = logits32;
    // |lse| < 20: its rounding, a unit of 2^-20, is the relative error of every probability.
    const double lse_error = 2e-6;
    CHECK(std::abs(mean32 - mean) <= lse_error);

    const double floor = 1e-30;
    Array<Bf16> d16(logits.view().shape, Bf16(9.0F));
    gradient_of<Bf16>({Device::cpu, 2}, 2.0, copy32, targets, losses32, d16);
    gradient_of<double>({}, 2.0, logits, targets, losses, logits);
    gradient_of<float>({Device::cpu, 2}, 2.0, logits32, targets, losses32, logits32);
    // p - 1 of the target cancels: at worst a probability's error relative to 1 - p > 1e-3.
    CHECK(worst_error(logits32, logits, floor) <= 1e3 * lse_error);
    CHECK(worst_error(d16, logits, floor) <= kBf16Epsilon / 2 + 1e3 * lse_error);
    for (Index k = 0; k < v; ++k) CHECK(static_cast<float>(d16.row(0)[k]) == 0.0F);  // not scored
}
