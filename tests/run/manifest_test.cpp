#include "run/manifest.h"

#include "catch.h"
#include "config/config.h"
#include "ops/attention_kernel.h"

#include <algorithm>

using namespace plumb;

TEST_CASE("the manifest says what is needed to make the run again") {
    const auto m = make_manifest(
        {{"plumb", "train", "train.lr=1e-3"}, "cpu", "fp32", 2, 7, "copy task", "abc123"});
    CHECK(m["schema"] == 2);
    CHECK(m["command_line"][2] == "train.lr=1e-3");
    CHECK(m["numerics"] == 1);
    CHECK(m["run"]["threads"] == 2);
    CHECK(m["run"]["attention"] == std::string(name_of(attention_kernel())));
    CHECK(m["run"]["seed"] == 7);
    CHECK_FALSE(m["run"].contains("seeds"));
    const std::vector<std::string> keeps = m["run"]["keeps_numbers"];
    for (const FieldInfo& field : fields())
        CHECK((std::count(keeps.begin(), keeps.end(), field.key) == 1) != field.changes_numbers);
    CHECK(m["run"]["device"] == "cpu");
    CHECK(m["run"]["precision"] == "fp32");
    CHECK(m["data"]["description"] == "copy task");
    CHECK(m["data"]["fingerprint"] == "abc123");
    CHECK(m["git"]["dirty"].is_boolean());
    for (const char* key : {"compiler", "flags", "type", "gemm"})
        CHECK_FALSE(m["build"][key].get<std::string>().empty());
    CHECK_FALSE(m["version"].get<std::string>().empty());
    const std::string date = m["date"];
    REQUIRE(date.size() == 20);
    CHECK(date.back() == 'Z');
    CHECK(date[10] == 'T');
    CHECK(std::stoi(date.substr(0, 4)) >= 2024);
}
