#include "cli/check_command.h"

#include "catch.h"

#include <nlohmann/json.hpp>

using namespace plumb;

namespace {

std::vector<CheckLine> three_lines() {
    CheckLine good, bad, skipped;
    good.mixer = bad.mixer = skipped.mixer = "hyper";
    good.name = "gradients", good.value = 1e-9, good.limit = 1e-7, good.note = "worst: v_0";
    good.status = CheckLine::Status::pass;
    bad.name = "causality", bad.note = "it leaks";  // value: NaN
    skipped.name = "PyTorch float64", skipped.status = CheckLine::Status::skipped;
    return {good, bad, skipped};
}

}  // namespace

TEST_CASE("the check report counts what failed and what was skipped", "[cli]") {
    const std::string text = check_text(three_lines(), Terminal{});
    CHECK(text.ends_with("\nchecks: 2\nfailed: 1\nskipped: 1\n"));
    CHECK(text.find("FAIL  it leaks") != std::string::npos);
    CHECK(text.find("worst") == std::string::npos);  // of what passed, JSON says more
    CHECK(text.find('\033') == std::string::npos);
    Terminal colour;
    colour.colour = true;
    CHECK(check_text(three_lines(), colour).find("\033[31mFAIL\033[0m") != std::string::npos);
    const auto json = nlohmann::json::parse(check_json(three_lines()));
    CHECK(json["failed"] == 1);
    CHECK(json["checks"][0]["status"] == "pass");
    CHECK(json["checks"][1]["value"].is_null());
    CHECK(json["checks"][2]["status"] == "skipped");
}

TEST_CASE("plumb check runs, and refuses what it does not know", "[cli]") {
    const auto run = [](std::vector<std::string> words) {
        CLI::App app;
        add_check_command(app);
        std::reverse(words.begin(), words.end());  // CLI11 pops from the back
        app.parse(words);
    };
    CHECK_THROWS_WITH(run({"check", "atnres"}), contains_text("'attnres'"));
    CHECK_THROWS_WITH(run({"check", "--fixtures", "src"}), contains_text("--fixtures src"));
}
