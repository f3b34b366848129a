// What uses a trained run, on a device: eval, generate, check, as a user types them.
#include "catch.h"
#include "check/self_check.h"
#include "support/run_files.h"

#include <cmath>
#include <cstring>

using namespace plumb;
using namespace plumb::test;

namespace {

nlohmann::json scored(const std::string& run, const std::string& device,
                      const std::vector<std::string>& change = {}) {
    std::vector<std::string> args{"eval",        run, "--json",   "--threads", "1",
                                  "--sequences", "5", "--device", device};
    args.insert(args.end(), change.begin(), change.end());
    return json_of(args)["runs"][0];
}

// Of losses in float.
void near(const nlohmann::json& a, const nlohmann::json& b) {
    CHECK(a.get<double>() == Approx(b.get<double>()).epsilon(1e-5));
}

std::string continued(const std::string& run, const std::string& device) {
    const Outcome o = run_plumb({"generate", run, "--prompt", "1 2", "--tokens", "40", "--samples",
                                 "2", "--temperature", "0", "--threads", "1", "--device", device});
    INFO(o.out);
    REQUIRE(o.code == 0);
    return o.out.substr(0, o.out.find("prompt_tokens: "));
}

}  // namespace

TEST_CASE("eval and generate on a device print what they do on the CPU", "[device][cli]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"mixer=attnres"})).code == 0);
    const auto before = content(run);
    const auto cpu = scored(run, "cpu"), cuda = scored(run, "cuda");
    near(cuda["loss"], cpu["loss"]);
    CHECK(cuda["tokens"] == cpu["tokens"]);
    for (const std::vector<std::string>& change :
         {std::vector<std::string>{"--drop", "1", "--gain", "2=0.5", "--swap", "1,2"},
          {"--mask", "1", "--controls", "1"}}) {
        const auto want = scored(run, "cpu", change)["changes"][0],
                   got = scored(run, "cuda", change)["changes"][0];
        near(got["loss"], want["loss"]);
        CHECK(got["name"] == want["name"]);
        CHECK(std::abs(want["delta"].get<double>()) > 1e-4);
    }
    CHECK(continued(run, "cuda") == continued(run, "cpu"));
    CHECK(content(run) == before);
}

TEST_CASE("a checkpoint whose numbers are none is refused on a device too", "[device][cli]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    std::string bytes = slurp(checkpoint_of(run, 20) / "model.safetensors");
    const float nan = std::nanf("");
    std::memcpy(bytes.data() + bytes.size() - sizeof nan, &nan, sizeof nan);
    spill(checkpoint_of(run, 20) / "model.safetensors", bytes);
    sign(checkpoint_of(run, 20));
    const Outcome o = run_plumb({"eval", run, "--device", "cuda"});
    CHECK(o.code == 4);
    CHECK_THAT(o.out, contains_text("which training never saves"));
}

TEST_CASE("every check of some mixers passes on a device", "[device][check]") {
    CheckOptions options;
    options.device = Device::cuda;
    options.fixtures = "tests/fixtures";
    for (const char* mixer : {"standard", "attnres_block"})
        for (const CheckLine& line : self_check(find_mixer(mixer), options)) {
            INFO(line.mixer << " " << line.setting << " " << line.name << ": " << line.value << " "
                            << line.note);
            CHECK(line.status == CheckLine::Status::pass);
        }
}

TEST_CASE("check prints what it found on a device", "[device][cli]") {
    const auto json = json_of({"check", "standard", "--device", "cuda", "--json"});
    CHECK(json["failed"] == 0);
    CHECK(json.dump().find("device - CPU") != std::string::npos);
}

// 7 rows of the standard residual in bf16 each way (running_row.cuh); the site behind the last
// sublayer reads v, and the first has no h to read.
TEST_CASE("bench counts what passes move on a device, and times nothing where there is no time",
          "[device][cli]") {
    const auto json = json_of({"bench", "--device", "cuda", "--mixers", "mudd", "--shape",
                               "2x16x8x2", "--precision", "bf16", "--json"});
    const auto& passes = json["passes"][0];
    CHECK(passes["tokens"] == 16);
    const auto &standard = passes["mixers"][0], &mudd = passes["mixers"][1];
    CHECK(standard["memory"] == "fused");
    CHECK(mudd["memory"] == "plain");
    CHECK(standard["forward"]["sites"].size() == 5);
    constexpr int kRow = 16 * 2;
    CHECK(standard["forward"]["sites"][1]["bytes_per_token"] == 7 * kRow);
    CHECK(standard["backward"]["sites"][1]["bytes_per_token"] == 7 * kRow);
    CHECK(standard["forward"]["sites"][0]["bytes_per_token"] == 5 * kRow);
    CHECK(standard["forward"]["floor_rows"] == 7);
    CHECK(standard["forward"]["rows"] == (5 + 4 * 7) / 4.0);
    CHECK(mudd["forward"]["floor_rows"].is_null());
    CHECK(standard["forward"]["seconds"].is_null());
    const Outcome text =
        run_plumb({"bench", "--device", "cuda", "--mixers", "standard", "--shape", "2x16x8x2"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out, contains_text("whose times mean nothing"));
    const Outcome ops = run_plumb({"bench", "--device", "cuda", "--ops"});
    CHECK(ops.code == 2);
    CHECK_THAT(ops.out, contains_text("--ops and --generate"));
}

TEST_CASE("bench runs whole steps on a device where they are asked for", "[device][cli]") {
    const auto json =
        json_of({"bench", "--device", "cuda", "--mixers", "denseformer", "--shape", "1x16x8x2",
                 "--vocab", "40", "--rounds", "1", "--steps", "1", "--json"});
    CHECK(json["machine"]["gpu"].is_string());
    CHECK(json["passes"].size() == 1);
    REQUIRE(json["compare"].size() == 1);
    const auto& steps = json["compare"][0];
    CHECK(steps["shape"]["vocab"] == 40);
    REQUIRE(steps["mixers"].size() == 2);
    for (const auto& row : steps["mixers"]) {
        CHECK(row["step_s"]["median"] > 0);
        CHECK(row["gemm_share"] > 0);
        CHECK(row["peak_bytes"].is_null());  // of the process, which says nothing about a GPU
    }
    // v -> h by the mean of a block's input and its outputs: more rows than the standard residual's
    CHECK(steps["mixers"][1]["moved_step_d"] > steps["mixers"][0]["moved_step_d"]);
}

TEST_CASE("commands refuse a device that is none in a line", "[device][cli]") {
    for (const std::vector<std::string>& args : {std::vector<std::string>{"eval", "runs/none"},
                                                 {"generate", "runs/none"},
                                                 {"check", "standard"},
                                                 {"bench"}}) {
        std::vector<std::string> words = args;
        words.insert(words.end(), {"--device", "tpu"});
        const Outcome o = run_plumb(words);
        CHECK(o.code == 2);
        CHECK_THAT(o.out, contains_text("--device tpu: cpu or cuda"));
        CHECK(std::count(o.out.begin(), o.out.end(), '\n') == 1);
    }
}
