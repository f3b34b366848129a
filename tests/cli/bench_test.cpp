#include "catch.h"
#include "support/run_program.h"

using namespace plumb::test;

namespace {

std::vector<std::string> tiny_bench(const std::vector<std::string>& more) {
    std::vector<std::string> args{"bench",    "--shape", "1x16x8x2", "--threads", "1",
                                  "--rounds", "1",       "--steps",  "2"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

}  // namespace

TEST_CASE("bench --json: one object a shape and mixer, with the machine", "[cli][bench]") {
    const Outcome o =
        run_plumb(tiny_bench({"--json", "--mixers", "highway", "mhc:streams=2", "model.mlp=gelu"}));
    INFO(o.out);
    REQUIRE(o.code == 0);
    const auto j = nlohmann::json::parse(o.out);
    for (const char* key : {"version", "date", "command_line", "git", "build", "machine"})
        CHECK(j.contains(key));
    CHECK(j.at("machine").at("threads") == 1);
    REQUIRE(j.at("compare").size() == 1);
    const auto& shape = j["compare"][0];
    CHECK(shape.at("precision") == "fp32");
    CHECK(shape.at("shape").at("width") == 16);
    CHECK(shape.at("gemm").size() == 5);
    REQUIRE(shape.at("mixers").size() == 3);
    CHECK(shape["mixers"][0].at("label") == "standard");
    CHECK(shape["mixers"][2].at("label") == "mhc:streams=2");
    CHECK(shape["mixers"][2].at("settings")[0] == "mixer.streams=2");
    for (const auto& m : shape["mixers"]) {
        double sum = 0;
        for (const auto& [part, seconds] : m.at("parts_s").items()) sum += seconds.get<double>();
        CHECK(sum == Approx(m.at("profiled_step_s").get<double>()));
        CHECK(m.at("step_s").at("median").get<double>() > 0);
        CHECK(m.at("tokens_per_s").get<double>() > 0);
        CHECK(m.at("gemm_share").get<double>() > 0);
        CHECK(m.at("planned_bytes").get<double>() > 0);
        CHECK(m.at("ratios").size() == 1);
    }
}

TEST_CASE("bench --out writes JSON, CSV and a page, growth and ops have tables", "[cli][bench]") {
    const plumb::TempFolder temp;
    const Outcome o =
        run_plumb(tiny_bench({"--mixers", "attnres", "--depth", "1,2", "--context", "8,16", "--ops",
                              "--generate", "1,2", "--out", temp / "bench"}));
    INFO(o.out);
    REQUIRE(o.code == 0);
    CHECK(o.out.find("cost against depth") != std::string::npos);
    CHECK(o.out.find("cost against context") != std::string::npos);
    const auto j = nlohmann::json::parse(slurp(temp.path() / "bench" / "bench.json"));
    CHECK(j.at("compare").empty());
    REQUIRE(j.at("depth").size() == 2);
    CHECK(j["depth"][1].at("shape").at("layers") == 2);
    REQUIRE(j.at("context").size() == 2);
    CHECK(j["context"][1].at("shape").at("context") == 16);
    CHECK(j["context"][1].at("shape").at("batch") == 1);
    CHECK(j["context"][0].at("tokens_per_step") == j["context"][1].at("tokens_per_step"));
    CHECK(j.at("ops").size() > 20);
    CHECK_FALSE(j.at("bandwidth").empty());
    REQUIRE(j.at("generate").size() == 2);
    CHECK(j["generate"][1].at("shape").at("batch") == 2);
    for (const auto& m : j["generate"][1].at("mixers"))
        CHECK(m.at("token_s").at("median").get<double>() > 0);
    for (const char* name : {"bench.csv", "ops.csv", "generate.csv", "bench.md"})
        CHECK_FALSE(slurp(temp.path() / "bench" / name).empty());
}

TEST_CASE("bench: what cannot work is a usage error, before any work", "[cli][bench]") {
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
        {{"--mixers", "attnress"}, "did you mean 'attnres'"},
        {{"--against", "plain"}, "unknown mixer 'plain'"},
        {{"--shape", "huge"}, "LAYERSxWIDTHxTxBATCH"},
        {{"--precision", "fp64"}, "fp32, bf16 or both"},
        {{"model.widht=3"}, "model.width"},
        {{"data.task=copy"}, "--mixers NAME"},
        {{"--mixers", "highway", "mixer.streams=2"}, "none of the mixers"},
        {{"--mixers", "highway:streams=2"}, "mixer.streams"},
        {{"--rounds", "0"}, "--rounds"},
    };
    for (const auto& [args, message] : cases) {
        const Outcome o = run_plumb(tiny_bench(args));
        INFO(fmt::format("{}", fmt::join(args, " ")) << "\n" << o.out);
        CHECK(o.code == 2);
        CHECK(o.out.find(message) != std::string::npos);
    }
}
