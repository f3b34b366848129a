#include "check/self_check.h"

#include "catch.h"

#include <algorithm>

using namespace plumb;

TEST_CASE("every check of every mixer passes", "[check]") {
    CheckOptions options;
    options.fixtures = "tests/fixtures";
    for (const MixerInfo& info : mixers())
        for (const CheckLine& line : self_check(info, options)) {
            INFO(line.mixer << " " << line.setting << " " << line.name << ": " << line.value << " "
                            << line.note);
            CHECK(line.status == CheckLine::Status::pass);
            CHECK(line.value <= line.limit);
        }
}

TEST_CASE("a check passes at its limit, not above it and not with a NaN", "[check]") {
    CHECK(judge(0.5, 0.5) == CheckLine::Status::pass);
    CHECK(judge(0.6, 0.5) == CheckLine::Status::fail);
    CHECK(judge(std::numeric_limits<double>::quiet_NaN(), 0.5) == CheckLine::Status::fail);
}

TEST_CASE("missing fixtures are skipped, not passed", "[check]") {
    const std::vector<CheckLine> lines = self_check(find_mixer("standard"), {});
    CHECK(lines.back().status == CheckLine::Status::skipped);
    CHECK(lines.back().note.find("--fixtures") != std::string::npos);
    CHECK(std::count_if(lines.begin(), lines.end(), [](const CheckLine& l) {
              return l.status == CheckLine::Status::skipped;
          }) == 1);
}

TEST_CASE("a check that throws is a failure that says why", "[check]") {
    MixerInfo strange = find_mixer("attnres_block");
    strange.test_settings = {{"block_size=99"}};  // more than any checked model has
    const std::vector<CheckLine> lines = self_check(strange, {});
    CHECK(lines.front().status == CheckLine::Status::fail);
    CHECK(lines.front().note.find("block_size=99") != std::string::npos);
}

TEST_CASE("a false claim to equal the standard network fails", "[check]") {
    MixerInfo boastful = find_mixer("mhc");
    boastful.equals_standard_at_init = true;
    std::size_t n_failed = 0;
    for (const CheckLine& line : self_check(boastful, {}))
        n_failed += line.status == CheckLine::Status::fail && line.name == "standard at init";
    CHECK(n_failed == boastful.test_settings.size());
}
