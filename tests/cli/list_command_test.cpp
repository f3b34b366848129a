#include "cli/list_command.h"

#include "catch.h"
#include "core/check.h"
#include "mixers/mixers.h"

#include <nlohmann/json.hpp>

#include <sstream>

using namespace plumb;

TEST_CASE("every row of the tables is listed") {
    const std::string text = list_text("mixers", Terminal{});
    const auto json = nlohmann::json::parse(list_json("mixers"));
    REQUIRE(json.size() == mixers().size());
    for (std::size_t i = 0; i < mixers().size(); ++i) {
        CHECK(text.find(mixers()[i].name) != std::string::npos);
        CHECK(json[i]["name"] == mixers()[i].name);
        CHECK(json[i]["definition"] == mixers()[i].definition);
    }
    CHECK(text.find("options: mixer.key_gain") != std::string::npos);
    CHECK(text.ends_with(fmt::format("\nmixers: {}\n", mixers().size())));
    const std::string sublayers = list_text("sublayers", Terminal{});
    CHECK(sublayers.find("settings: model.heads, model.kv_heads") != std::string::npos);
    CHECK(sublayers.find("decoding keeps 256 numbers a position") != std::string::npos);
    for (const char* what :
         {"sublayers", "optimizers", "tasks", "corpora", "measures", "numerics"}) {
        CHECK(nlohmann::json::parse(list_json(what)).size() > 0);
        CHECK(list_text(what, Terminal{}).find(fmt::format("\n{}: ", what)) != std::string::npos);
    }
}

TEST_CASE("changes of numbers are listed with the setting that says of which runs") {
    const auto rows = nlohmann::json::parse(list_json("numerics"));
    CHECK(rows[0]["since"] == 2);
    CHECK(rows[0]["key"] == "model.dropout");
    CHECK(rows[0]["default"] == 0.0);
    CHECK_THAT(list_text("numerics", Terminal{}),
               contains_text("of runs with another model.dropout than 0.0"));
}

TEST_CASE("lines fit the terminal where words allow it") {
    for (const int width : {60, 80, 120}) {
        Terminal terminal;
        terminal.width = width;
        std::istringstream lines(list_text("mixers", terminal));
        for (std::string line; std::getline(lines, line);) CHECK(display_width(line) <= width);
    }
}

TEST_CASE("an unknown list names the nearest, no list names the kinds") {
    CHECK_THROWS_WITH(list_text("mixer", Terminal{}), contains_text("did you mean 'mixers'"));
    CHECK_THROWS_WITH(list_text("zebra", Terminal{}),
                      contains_text("there are mixers, sublayers, optimizers"));
    for (const ListKind& kind : list_kinds()) {
        CHECK(list_text("", Terminal{}).find("plumb list " + kind.name) != std::string::npos);
        CHECK_FALSE(list_items(kind.name).empty());
    }
    CLI::App app;
    add_list_command(app);
    CHECK_THROWS_AS(app.parse("list taks"), UsageError);
}

TEST_CASE("a list can be narrowed to what mentions a word") {
    CHECK(list_text("mixers", Terminal{}, "SINKHORN").find("mhc") != std::string::npos);
    CHECK(nlohmann::json::parse(list_json("mixers", "denseformer")).size() == 1);
    CHECK(nlohmann::json::parse(list_json("mixers", "no such thing")).empty());
}
