#include "formats/jsonl.h"

#include "catch.h"
#include "core/check.h"
#include "support/temp_folder.h"

#include <limits>

using namespace plumb;

TEST_CASE("lines are appended, numbers keep every bit, what JSON lacks is null", "[formats]") {
    TempFolder folder;
    {
        JsonlFile file(folder / "a.jsonl");
        file.write({{"step", 1}, {"x", 0.1 + 0.2}});
        CHECK(read_file(folder / "a.jsonl") == "{\"step\":1,\"x\":0.30000000000000004}\n");
    }
    JsonlFile file(folder / "a.jsonl");
    file.write({{"x", std::numeric_limits<double>::quiet_NaN()}});
    file.flush();
    const auto lines = read_jsonl(folder / "a.jsonl");
    REQUIRE(lines.size() == 2);
    CHECK(lines[0]["x"].get<double>() == 0.1 + 0.2);
    CHECK(lines[1]["x"].is_null());
}

TEST_CASE("a line cut off by a crash is skipped, and gone before the next is appended",
          "[formats]") {
    TempFolder folder;
    write_file(folder / "a", "{\"step\":1}\n{\"st");
    CHECK(read_jsonl(folder / "a").size() == 1);
    JsonlFile(folder / "a").write({{"step", 2}});
    CHECK(read_file(folder / "a") == "{\"step\":1}\n{\"step\":2}\n");
    write_file(folder / "a", "{\"st");
    JsonlFile(folder / "a").write({{"step", 2}});
    CHECK(read_file(folder / "a") == "{\"step\":2}\n");
}

TEST_CASE("a broken line elsewhere is an error with its number", "[formats]") {
    TempFolder folder;
    write_file(folder / "a", "{\"step\":1}\n{\"st\n{\"step\":3}\n");
    CHECK_THROWS_WITH(read_jsonl(folder / "a"), contains_text("a:2: not valid JSON"));
    write_file(folder / "a", "17\n");
    CHECK_THROWS_WITH(read_jsonl(folder / "a"), contains_text("a:1: not a JSON object"));
    const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
    write_file(folder / "a", "{\"step\":1}\n{\"step\":" + deep + "}\n");
    CHECK_THROWS_WITH(read_jsonl(folder / "a"), contains_text("a:2") && contains_text("deeper"));
    CHECK_THROWS_AS(drop_lines_after(folder / "a", 1), IoError);
    CHECK_THROWS_AS(read_jsonl(folder / "none"), IoError);
    CHECK_THROWS_AS(JsonlFile(folder / "none/a"), IoError);
    CHECK_THROWS_WITH(JsonlFile("/dev/full").write({{"step", 1}}), contains_text("No space left"));
}

TEST_CASE("a resumed run drops what it will write again", "[formats]") {
    TempFolder folder;
    const std::string first = "{ \"step\": 1}\n{\"note\":\"x\"}\n{\"step\":5,\"x\":1.50}\n";
    write_file(folder / "a", first + "{\"step\":6}\n{\"step\":7}\n{\"ste");
    drop_lines_after(folder / "a", 5);
    CHECK(read_file(folder / "a") == first);
    drop_lines_after(folder / "a", 5);
    CHECK(read_file(folder / "a") == first);
    CHECK_NOTHROW(drop_lines_after(folder / "none", 5));
    CHECK_FALSE(std::filesystem::exists(folder / "none"));
}
