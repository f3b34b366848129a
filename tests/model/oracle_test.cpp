// Losses and every gradient of the model, with every mixer, against an independent PyTorch float64
// implementation (scripts/oracle). Double must match to 1e-10, gradients of either to 1000 epsilon,
// twice that of a query from the input.
#include "catch.h"
#include "check/oracle_fixture.h"
#include "config/config.h"
#include "core/json.h"
#include "model/sublayers.h"
#include "support/every_mixer.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>

using namespace plumb;
using namespace plumb::test;

// How many a gradient may be off by. A query from the newest output sees every rounding of it
// twice.
static double roundings(const std::filesystem::path& fixture) {
    return fixture.filename().string().find("query_input") != std::string::npos ? 2e3 : 1e3;
}

TEST_CASE("double matches the PyTorch oracle to 1e-10", "[oracle]") {
    const auto paths = fixture_paths("tests/fixtures");
    REQUIRE(paths.size() >= 20);
    for (const auto& path : paths) {
        INFO(path.filename().string());
        const OracleErrors error = oracle_errors<double>(SafetensorsFile::open(path));
        CHECK(error.loss <= 1e-12);
        CHECK(error.matrix <= 1e-10);
        CHECK(error.gradient <= roundings(path) * std::numeric_limits<double>::epsilon());
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
        CHECK(error.gradient <= roundings(path) * kEps);
    }
}

TEST_CASE("every setting that mixers are tested with has a PyTorch fixture", "[oracle]") {
    const auto text_of = [](const MixerConfig& mixer) {
        Config config;
        config.mixer = mixer;
        return to_json(config)["mixer"].dump();
    };
    std::set<std::string> fixtures;
    for (const auto& path : fixture_paths("tests/fixtures"))
        fixtures.insert(text_of(fixture_shape(SafetensorsFile::open(path)).mixer));
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        CHECK(fixtures.contains(text_of(config)));
    });
}

TEST_CASE("every setting that sublayers are tested with is in a PyTorch fixture", "[oracle]") {
    std::vector<std::vector<std::string>> fixtures;  // overrides
    for (const auto& path : fixture_paths("tests/fixtures"))
        fixtures.push_back(
            parse_json(SafetensorsFile::open(path).metadata().at("config"), path.string()));
    for (const SublayerInfo& info : sublayers())
        for (const std::vector<std::string>& settings : info.test_settings) {
            INFO(info.name << " " << fmt::format("{}", fmt::join(settings, " ")));
            const auto has = [&](const std::vector<std::string>& fixture) {
                return std::all_of(settings.begin(), settings.end(), [&](const std::string& s) {
                    return std::find(fixture.begin(), fixture.end(), s) != fixture.end();
                });
            };
            CHECK(std::any_of(fixtures.begin(), fixtures.end(), has));
        }
}
