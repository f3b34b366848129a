#include "core/json.h"

#include "catch.h"
#include "core/files.h"
#include "support/temp_folder.h"

using namespace plumb;
using nlohmann::json;

namespace {

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("JSON nested too deep is refused by name, whatever the depth", "[json]") {
    CHECK(parse_json(nested(kMaxJsonDepth), "x").is_array());
    for (const std::size_t depth : {std::size_t{kMaxJsonDepth + 1}, std::size_t{1'000'000}}) {
        CHECK_THROWS_AS(parse_json(nested(depth), "runs/a/summary.json"), IoError);
        CHECK_THROWS_WITH(parse_json(nested(depth), "runs/a/summary.json"),
                          contains_text("runs/a/summary.json") && contains_text("deeper than 64"));
    }
    std::string objects;
    for (int i = 0; i <= kMaxJsonDepth; ++i) objects += "{\"a\":";
    CHECK_THROWS_AS(parse_json(objects, "x"), IoError);
}

TEST_CASE("brackets in strings, and many side by side, are not depth", "[json]") {
    const std::string brackets =
        "\"" + std::string(1000, '[') + "\\\"" + std::string(9, '{') + "\"";
    CHECK(parse_json(brackets, "x").get<std::string>().size() == 1010);
    std::string many = "[0";
    for (int i = 0; i < 1000; ++i) many += ",[{}]";
    CHECK(parse_json(many + "]", "x").size() == 1001);
}

TEST_CASE("files that hold no JSON object are named", "[json]") {
    const TempFolder folder;
    for (const char* text : {"", "{", "null", "[1,2]", "17", "\"a\"", "{\"a\":1}}", "{\"a\":1e999}",
                             "{\"a\":\"\xff\"}"}) {
        write_file(folder / "s.json", text);
        INFO(text);
        CHECK_THROWS_AS(read_json_object(folder / "s.json"), IoError);
        CHECK_THROWS_WITH(read_json_object(folder / "s.json"),
                          contains_text((folder / "s.json").string()));
    }
    write_file(folder / "s.json", "{");
    CHECK_THROWS_WITH(read_json_object(folder / "s.json"), contains_text("JSON: parse error at"));
    write_file(folder / "s.json", " {\"a\": [1]}\n");
    CHECK(read_json_object(folder / "s.json")["a"][0] == 1);
    CHECK_THROWS_AS(read_json_object(folder / "none.json"), IoError);
}

TEST_CASE("members are read with their type or refused with file, name and value", "[json]") {
    const json j = {{"n", 3},        {"x", 0.5},
                    {"text", "abc"}, {"yes", true},
                    {"none", {}},    {"big", UINT64_MAX},
                    {"huge", 1e300}, {"list", json::array({1})},
                    {"minus", -2},   {"long", std::string(200, 'a')}};
    CHECK(json_at<std::int64_t>(j, "n", "f") == 3);
    CHECK(json_at<std::int64_t>(j, "minus", "f") == -2);
    CHECK(json_at<double>(j, "n", "f") == 3);
    CHECK(json_at<double>(j, "x", "f") == 0.5);
    CHECK(json_at<std::string>(j, "text", "f") == "abc");
    CHECK(json_at<bool>(j, "yes", "f"));
    for (const char* key : {"x", "text", "yes", "none", "big", "huge", "list", "nothing"})
        CHECK_THROWS_AS(json_at<std::int64_t>(j, key, "f"), IoError);
    for (const char* key : {"text", "yes", "none", "list"})
        CHECK_THROWS_AS(json_at<double>(j, key, "f"), IoError);
    CHECK_THROWS_WITH(json_at<double>(j, "text", "a/f.json"),
                      contains_text("a/f.json: \"text\" is \"abc\", not a number"));
    CHECK_THROWS_WITH(json_at<double>(j, "nothing", "f"), contains_text("\"nothing\" is missing"));
    CHECK_THROWS_WITH(json_at<bool>(j, "long", "f"), contains_text("aaa..., not true or false"));
    CHECK_THROWS_AS(json_at<double>(json::array(), "x", "f"), IoError);

    CHECK(json_or(j, "nothing", 7.0, "f") == 7.0);
    CHECK(json_or(j, "none", 7.0, "f") == 7.0);
    CHECK(json_or(j, "x", 7.0, "f") == 0.5);
    CHECK_THROWS_AS(json_or(j, "text", 7.0, "f"), IoError);
}

TEST_CASE("an excerpt is never cut inside a character", "[json]") {
    CHECK(json_excerpt("short") == "short");
    std::string pounds;
    for (int i = 0; i < 40; ++i) pounds += "\xc2\xa3";
    CHECK(json_excerpt("a" + pounds) == "a" + pounds.substr(0, 38) + "...");
}
