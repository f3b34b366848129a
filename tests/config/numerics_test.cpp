// The table of what changed the numbers of which runs.
#include "config/numerics.h"

#include "catch.h"

using namespace plumb;

TEST_CASE("a change of numbers concerns the runs that its row is about") {
    const Config plain = load_config("", {"model.layers=3"}).config;
    const Config dropped = load_config("", {"model.dropout=0.1"}).config;
    CHECK(numerics(plain) == 1);
    CHECK(numerics(dropped) == 2);
    CHECK(numerics(load_config("", {"model.dropout=0"}).config) == 1);
    CHECK(numerics(nlohmann::ordered_json{{"model.layers", 3}}) == 1);
    CHECK(numerics(nlohmann::ordered_json{{"model.dropout", 0.1}}) == 2);
    CHECK(numerics(nlohmann::ordered_json()) == 1);
}

TEST_CASE("the last row that is about a run counts, and a row may be about every run") {
    const std::vector<NumericsChange> changes{{2, "a", ""}, {3, "", ""}, {5, "b", ""}};
    const auto of = [&](std::string_view chosen) {
        return numerics(changes, [&](std::string_view key) { return key == chosen; });
    };
    CHECK(of("a") == 3);
    CHECK(of("b") == 5);
    CHECK(of("c") == 3);
}

TEST_CASE("rows of changed numbers ascend, and each is about a setting that there is") {
    int last = 1;
    for (const NumericsChange& change : numerics_changes()) {
        CHECK(change.since > last);
        last = change.since;
        if (change.key.empty()) continue;
        REQUIRE(find_field(change.key) != nullptr);
        CHECK(find_field(change.key)->changes_numbers);
    }
    CHECK(newest_numerics() == last);
}
