// Dropout: its bits against Random123, its statistics, its gradient.
#include "ops/dropout.h"

#include "catch.h"
#include "check/gradient_check.h"
#include "support/bf16.h"

#include <Random123/philox.h>

#include <set>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("dropout takes its bits from Philox4x32-10", "[ops]") {
    const Dropout d{0.25, 0x123456789abcdef0U, dropout_stream(3, "layer.1.attn")};
    for (const Index row : {0, 7, 70000})
        for (const Index block : {0, 5}) {
            double got[kDropoutBlock];
            dropout_factors(d, row, block, got);
            for (Index j = 0; j < kDropoutBlock; ++j) {
                const auto lane = static_cast<std::uint32_t>(j / 8),
                           half = static_cast<std::uint32_t>(j % 8);
                const r123::Philox4x32::ctr_type counter{
                    {static_cast<std::uint32_t>(block) * 16 + lane, static_cast<std::uint32_t>(row),
                     static_cast<std::uint32_t>(d.stream),
                     static_cast<std::uint32_t>(d.stream >> 32)}};
                const auto r = r123::Philox4x32{}(counter, {{0x9abcdef0U, 0x12345678U}});
                const std::uint32_t bits =
                    half % 2 == 0 ? r[half / 2] & 0xffffU : r[half / 2] >> 16;
                REQUIRE(got[j] == (bits < 16384 ? 0.0 : 4.0 / 3.0));
            }
        }
}

TEST_CASE("dropout multiplies every number by its factor", "[ops]") {
    const Dropout d{0.5, 3, 4};
    for (const Index c : {1, 127, 128, 131}) {
        Array<double> x({{'N', 70}, {'C', c}}, "x"), y = x;
        dropout<double>({Device::cpu, 2}, d, y);
        Index wrong = 0;
        for (Index n = 0; n < 70; ++n)
            for (Index k = 0; k < c; ++k) {
                double factors[kDropoutBlock];
                dropout_factors(d, n, k / kDropoutBlock, factors);
                wrong += y.row(n)[k] != x.row(n)[k] * factors[k % kDropoutBlock];
            }
        INFO(c);
        CHECK(wrong == 0);
    }
}

TEST_CASE("dropout keeps 1 - p of the numbers and the mean", "[ops]") {
    for (const double p : {0.1, 0.5, 0.9}) {
        const Index n = 301, c = 333;
        const Dropout d{p, 5, 6};
        Array<double> x({{'N', n}, {'C', c}}, 1.0);
        dropout<double>({}, d, x);
        double kept = 0, sum = 0;
        for (Index i = 0; i < x.size(); ++i) kept += x[i] != 0, sum += x[i];
        // Six standard deviations of n c draws.
        const double draws = static_cast<double>(n * c), sigma = std::sqrt(p * (1 - p) / draws);
        INFO("p=" << p);
        CHECK(std::abs(kept / draws - (1 - p)) <= 6 * sigma + 1.0 / 65536);
        CHECK(std::abs(sum / draws - 1) <= 6 * sigma / (1 - p));
        CHECK(std::abs(d.factor() - 1 / (1 - p)) <= 1e-5 * d.factor() / (1 - p));
        // Neighbours agree as often as independent ones do.
        double both = 0;
        for (Index i = 1; i < x.size(); ++i) both += x[i] != 0 && x[i - 1] != 0;
        CHECK(std::abs(both / draws - (1 - p) * (1 - p)) <= 0.01);
    }
}

TEST_CASE("dropout is a function of its key, whatever the threads and the type", "[ops]") {
    const Index n = 130, c = 200;
    const Dropout d{0.3, 1, dropout_stream(0, "embed")};
    const auto mask = [&](const Dropout& key, int threads) {
        Array<float> x({{'N', n}, {'C', c}}, 1.0F);
        dropout<float>({Device::cpu, threads}, key, x);
        return x.values();
    };
    CHECK(mask(d, 1) == mask(d, 2));
    Array<Bf16> x16({{'N', n}, {'C', c}}, Bf16(1.0F));
    dropout<Bf16>({Device::cpu, 2}, d, x16);
    const std::vector<float> x32 = mask(d, 1);
    Index wrong = 0;
    for (Index i = 0; i < x16.size(); ++i)
        wrong += x16[i].bits != Bf16(x32[static_cast<std::size_t>(i)]).bits;
    CHECK(wrong == 0);
    std::set<std::vector<float>> masks{x32, mask({0.3, 2, d.stream}, 1)};
    for (const std::uint64_t pass : {0, 1, 2})
        for (const char* site : {"embed", "layer.0.attn", "layer.0.mlp"})
            masks.insert(mask({0.3, 1, dropout_stream(pass, site)}, 1));
    CHECK(masks.size() == 10);  // the first is among the nine
}

TEST_CASE("dropout: the backward pass is the same call, and p = 0 does nothing", "[ops]") {
    const Dropout d{0.4, 1, 2};
    Array<double> x({{'N', 3}, {'C', 131}}, "x"), dy({{'N', 3}, {'C', 131}}, "dy"), dx = dy;
    dropout<double>({}, d, dx);
    std::vector<double> want(x.values().size());
    for (std::size_t i = 0; i < want.size(); ++i)
        want[i] = central_difference(
            [&] {
                Array<double> y = x;
                dropout<double>({}, d, y);
                return weighted_sum(y.values(), dy.values());
            },
            x.values()[i]);
    CHECK(relative_error(dx.span(), std::span(want)) <= 1e-9);
    const std::vector<double> before = x.values();
    dropout<double>({}, {}, x);
    CHECK(x.values() == before);
    CHECK_THROWS_AS(dropout<double>({}, {1.0, 0, 0}, x), InternalError);
    CHECK_THROWS_AS(dropout<double>({}, {-0.1, 0, 0}, x), InternalError);
}
