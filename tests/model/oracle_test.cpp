// Losses and every gradient of the model, with every mixer, against an independent PyTorch float64
// implementation (scripts/oracle). Double must match to 1e-10, gradients of either to 1000 epsilon.
#include "catch.h"
#include "check/oracle_fixture.h"

#include <limits>

using namespace plumb;

TEST_CASE("double matches the PyTorch oracle to 1e-10", "[oracle]") {
    const auto paths = fixture_paths("tests/fixtures");
    REQUIRE(paths.size() >= 20);
    for (const auto& path : paths) {
        INFO(path.filename().string());
        const OracleErrors error = oracle_errors<double>(SafetensorsFile::open(path));
        CHECK(error.loss <= 1e-12);
        CHECK(error.matrix <= 1e-10);
        CHECK(error.gradient <= 1e3 * std::numeric_limits<double>::epsilon());
    }
}

TEST_CASE("float matches the PyTorch oracle to rounding", "[oracle]") {
    // Up to a few hundred roundings feed each number, with either float backend.
    constexpr double kEps = std::numeric_limits<float>::epsilon();
    for (const auto& path : fixture_paths("tests/fixtures")) {
        INFO(path.filename().string());
        const OracleErrors error = oracle_errors<float>(SafetensorsFile::open(path));
        CHECK(error.loss <= 20 * kEps);
        CHECK(error.matrix <= 100 * kEps);
        CHECK(error.gradient <= 1e3 * kEps);
    }
}

TEST_CASE("every mixer has a PyTorch fixture", "[oracle]") {
    for (const MixerInfo& mixer : mixers()) {
        std::size_t n = 0;
        for (const auto& path : fixture_paths("tests/fixtures"))
            n += fixture_shape(SafetensorsFile::open(path)).mixer.name == mixer.name;
        INFO(mixer.name);
        CHECK(n >= 1);
    }
}
