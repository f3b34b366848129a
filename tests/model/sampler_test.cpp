#include "model/sampler.h"

#include "catch.h"

#include <cmath>

using namespace plumb;

namespace {

// 0.2, 0.4, 0.1, 0.3, whatever is added to all logits.
const std::vector<double> kShares{0.2, 0.4, 0.1, 0.3};

std::vector<float> logits_of(const std::vector<double>& shares) {
    std::vector<float> x;
    for (const double p : shares) x.push_back(static_cast<float>(std::log(p) + 7));
    return x;
}

// How much of [0, 1) leads to each token.
std::vector<double> drawn(const Sampling& how, const std::vector<double>& shares = kShares) {
    constexpr int kDraws = 4000;
    const std::vector<float> logits = logits_of(shares);
    std::vector<double> result(logits.size()), scratch;
    for (int i = 0; i < kDraws; ++i) {
        const std::int32_t token =
            sample(logits.data(), std::ssize(logits), how, (i + 0.5) / kDraws, scratch);
        result.at(static_cast<std::size_t>(token)) += 1.0 / kDraws;
    }
    return result;
}

void check_close(const std::vector<double>& got, const std::vector<double>& want) {
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
        INFO("token " << i);
        CHECK(std::abs(got[i] - want[i]) <= 1e-3);
    }
}

}  // namespace

TEST_CASE("sampler: tokens are drawn in proportion to exp(logit / temperature)", "[model]") {
    check_close(drawn({1.0, 0}), kShares);
    // p^2 and sqrt(p), normalised
    check_close(drawn({0.5, 0}), {0.04 / 0.3, 0.16 / 0.3, 0.01 / 0.3, 0.09 / 0.3});
    double sum = 0;
    for (const double p : kShares) sum += std::sqrt(p);
    check_close(drawn({2.0, 0}), {std::sqrt(0.2) / sum, std::sqrt(0.4) / sum, std::sqrt(0.1) / sum,
                                  std::sqrt(0.3) / sum});
}

TEST_CASE("sampler: top_k keeps exactly the k likeliest", "[model]") {
    check_close(drawn({1.0, 1}), {0, 1, 0, 0});
    check_close(drawn({1.0, 2}), {0, 4.0 / 7, 0, 3.0 / 7});
    check_close(drawn({1.0, 3}), {2.0 / 9, 4.0 / 9, 0, 3.0 / 9});
    check_close(drawn({1.0, 4}), kShares);
    check_close(drawn({1.0, 9}), kShares);
    // a tie at the edge: all of those equal to the last
    check_close(drawn({1.0, 1}, {0.25, 0.4, 0.4, 0.25}), {0, 0.5, 0.5, 0});
}

TEST_CASE("sampler: temperature 0 takes the first of the largest", "[model]") {
    check_close(drawn({0.0, 0}), {0, 1, 0, 0});
    check_close(drawn({0.0, 3}, {0.2, 0.4, 0.4}), {0, 1, 0});
}

TEST_CASE("sampler: the ends of the unit interval give possible tokens", "[model]") {
    const std::vector<float> logits = logits_of({1e-30, 0.5, 0.5, 1e-30});
    std::vector<double> scratch;
    const Sampling how{1.0, 2};
    CHECK(sample(logits.data(), 4, how, 0.0, scratch) == 1);
    CHECK(sample(logits.data(), 4, how, 1 - 0x1p-53, scratch) == 2);
}
