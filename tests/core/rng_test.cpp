#include "core/rng.h"

#include "catch.h"

#include <Random123/philox.h>

#include <cmath>
#include <vector>

using namespace plumb;

TEST_CASE("FNV-1a test vectors", "[core]") {
    CHECK(hash_name("") == 0xcbf29ce484222325u);
    CHECK(hash_name("a") == 0xaf63dc4c8601ec8cu);
    CHECK(hash_name("foobar") == 0x85944171f73967e8u);
}

TEST_CASE("Philox4x32-10 known answer", "[core]") {
    const auto r = r123::Philox4x32{}({{0, 0, 0, 0}}, {{0, 0}});
    CHECK(r[0] == 0x6627e8d5u);
    CHECK(r[3] == 0x9b00dbd8u);
}

TEST_CASE("streams are functions of seed, name and index", "[core]") {
    const CounterRng a(1, "embed"), again(1, "embed"), name(1, "head"), seed(2, "embed");
    const double late = a.normal(1000000);
    CHECK(late == again.normal(1000000));  // whatever was drawn before
    CHECK(a.bits(0) == again.bits(0));
    CHECK(a.bits(0) != a.bits(1));
    CHECK(a.bits(0) != name.bits(0));
    CHECK(a.bits(0) != seed.bits(0));
    CHECK(a.bits(0) != a.bits(std::uint64_t{1} << 32));  // the whole counter counts
}

// Philox4x32-10, FNV-1a and Box-Muller written anew in Python, in integers and IEEE doubles.
TEST_CASE("numbers of a stream are what another program computes", "[core]") {
    struct Row {
        std::uint64_t seed;
        const char* name;
        std::uint64_t i, bits;
        double uniform, normal;
        std::uint64_t below;
    };
    const std::vector<Row> rows{
        {42u, "embed.weight", 0u, 0x77b93c2c189da3d0u, 0.4676702125221852, -1.0577797994219036,
         467671},
        {42u, "embed.weight", 1u, 0x259e5731c8df3ce6u, 0.14694733586736397, -0.13421242798126873,
         146947},
        {42u, "embed.weight", 1099511627781u, 0x4df25b5fbd887b7bu, 0.30447932326709004,
         -0.30591941839309955, 304480},
        {9223372036854775817u, "data", 7u, 0xc13d0c19cdc5645fu, 0.7548377573964635,
         1.3342271611632974, 754840},
    };
    for (const Row& row : rows) {
        const CounterRng rng(row.seed, row.name);
        INFO(row.seed << " " << row.name << " " << row.i);
        CHECK(rng.bits(row.i) == row.bits);
        CHECK(rng.uniform(row.i) == row.uniform);
        CHECK(rng.normal(row.i) == Approx(row.normal).epsilon(1e-14));
        CHECK(rng.below(row.i, 1000003) == row.below);
    }
}

TEST_CASE("moments and ranges", "[core]") {
    const CounterRng rng(3, "moments");
    constexpr int kN = 100000;
    double mean = 0, mean_square = 0, normal = 0, variance = 0, fourth = 0;
    std::vector<int> counts(7);
    for (std::uint64_t i = 0; i < kN; ++i) {
        const double u = rng.uniform(i), z = rng.normal(i);
        REQUIRE((u >= 0 && u < 1));
        mean += u / kN, mean_square += u * u / kN;
        normal += z / kN, variance += z * z / kN, fourth += z * z * z * z / kN;
        const std::uint64_t k = rng.below(i, 7);
        REQUIRE(k < 7);
        ++counts[k];
    }
    // Five standard errors each.
    CHECK(std::abs(mean - 0.5) <= 5 * 0.289 / std::sqrt(kN));
    CHECK(std::abs(mean_square - 1.0 / 3) <= 5 * 0.298 / std::sqrt(kN));
    CHECK(std::abs(normal) <= 5 / std::sqrt(kN));
    CHECK(std::abs(variance - 1) <= 5 * std::sqrt(2.0 / kN));
    CHECK(std::abs(fourth - 3) <= 5 * std::sqrt(96.0 / kN));
    for (const int n : counts) CHECK(std::abs(n - kN / 7.0) <= 5 * std::sqrt(kN * 6.0 / 49));
    CHECK(rng.below(0, 1) == 0);
}
