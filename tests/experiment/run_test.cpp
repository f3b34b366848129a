// Whole runs of the built program: stopped, killed, resumed, diverged; their files and their
// memory.
#include "catch.h"
#include "support/allocations.h"
#include "support/run_program.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

constexpr long kSteps = 120, kEvery = 10;

// About a second; every checkpoint is kept.
std::vector<std::string> run_args(const fs::path& out, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args{"train",
                                  "data.task=markov",
                                  "mixer=attnres_block",
                                  "mixer.block_size=2",
                                  "model.layers=2",
                                  "model.width=32",
                                  "model.heads=2",
                                  "model.context=32",
                                  "train.batch=4",
                                  "train.warmup=5",
                                  fmt::format("train.steps={}", kSteps),
                                  "train.eval_batches=2",
                                  "train.eval_every=20",
                                  "train.log_every=3",
                                  fmt::format("train.checkpoint_every={}", kEvery),
                                  "train.keep_checkpoints=99",
                                  "record.probe_every=30",
                                  "--threads",
                                  "1",
                                  "--out",
                                  out};
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

std::vector<nlohmann::json> lines_of(const fs::path& file) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(slurp(file));
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
}

// Steps, losses and gradient norms: all of metrics.jsonl but the times.
std::vector<nlohmann::json> metrics_of(const fs::path& run) {
    auto lines = lines_of(run / "metrics.jsonl");
    for (auto& line : lines) line.erase("time_s"), line.erase("tok_per_s");
    return lines;
}

// Everything a run computed is what the uninterrupted one computed.
void check_same_run(const fs::path& run, const fs::path& whole) {
    CHECK(slurp(run / "STATUS") == "done\n");
    for (long step = kEvery; step <= kSteps; step += kEvery) {
        INFO("checkpoint of step " << step);
        CHECK(content(checkpoint_of(run, step)) == content(checkpoint_of(whole, step)));
    }
    CHECK(metrics_of(run) == metrics_of(whole));
    CHECK(slurp(run / "depth.jsonl") == slurp(whole / "depth.jsonl"));
    CHECK(content(run / "matrix") == content(whole / "matrix"));
    auto summary = nlohmann::json::parse(slurp(run / "summary.json"));
    auto expected = nlohmann::json::parse(slurp(whole / "summary.json"));
    for (auto* s : {&summary, &expected}) s->erase("time_s"), s->erase("tok_per_s");
    CHECK(summary == expected);
}

// Sets the first number of a tensor in a safetensors file.
void poison(const fs::path& file, const std::string& tensor) {
    std::string bytes = slurp(file);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    const auto json = nlohmann::json::parse(bytes.substr(8, header));
    const std::size_t at = json.at(tensor).at("data_offsets").at(0);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(bytes.data() + 8 + header + at, &nan, sizeof nan);
    spill(file, bytes);
}

}  // namespace

TEST_CASE("a run that is stopped or killed ends in the bytes of one that is not", "[run]") {
    const TempFolder temp;
    const fs::path whole = temp / "whole", stopped = temp / "stopped", killed = temp / "killed";
    REQUIRE(run_plumb(run_args(whole)).code == 0);
    REQUIRE(metrics_of(whole).size() == 1 + kSteps / 3 + kSteps / 20 - kSteps / 60);

    long at = 20;
    for (const int signal : {SIGINT, SIGTERM}) {
        Launch launch;
        launch.meanwhile = signal_when_exists(checkpoint_of(stopped, at), signal);
        const Outcome o = run_plumb(run_args(stopped, {"--resume", "auto"}), launch);
        INFO(o.out);
        CHECK(o.code == 130);
        CHECK_THAT(o.out, contains_text("interrupted after a checkpoint"));
        CHECK_THAT(o.out, contains_text("--resume auto"));
        CHECK(slurp(stopped / "STATUS") == "interrupted\n");
        at += 30;
    }
    CHECK(run_plumb(run_args(stopped, {"--resume", "must"})).code == 0);
    check_same_run(stopped, whole);

    // Once before the first checkpoint, then at three more moments.
    const fs::path moments[] = {
        killed / "matrix/step_00000000.safetensors", checkpoint_of(killed, 30),
        killed / "matrix/step_00000060.safetensors", checkpoint_of(killed, 90)};
    for (const fs::path& moment : moments) {
        Launch launch;
        launch.meanwhile = signal_when_exists(moment, SIGKILL);
        CHECK(run_plumb(run_args(killed, {"--resume", "auto"}), launch).code == 128 + SIGKILL);
    }
    CHECK(run_plumb(run_args(killed, {"--resume", "auto"})).code == 0);
    check_same_run(killed, whole);
    CHECK(fs::exists(killed / "manifest.5.json"));
}

TEST_CASE("a run killed while its folder is made can be started again", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    fs::create_directory(run);
    spill(run / ".config.toml.tmp123", "half");
    CHECK(run_plumb(tiny_run(run, {"--resume", "auto"})).code == 0);
    CHECK_FALSE(fs::exists(run / ".config.toml.tmp123"));
}

TEST_CASE("the final bytes follow from config and seed alone", "[run]") {
    const TempFolder temp;
    REQUIRE(run_plumb(tiny_run(temp / "a")).code == 0);
    REQUIRE(run_plumb(tiny_run(temp / "b")).code == 0);
    REQUIRE(run_plumb(tiny_run(temp / "quiet", {"record.probe_every=0", "record.tensorboard=false",
                                                "train.log_every=7", "--quiet"}))
                .code == 0);
    REQUIRE(run_plumb(tiny_run(temp / "other", {"--seed", "2"})).code == 0);
    const auto last = [&](const char* run) { return content(checkpoint_of(temp / run, 20)); };
    CHECK(last("b") == last("a"));
    CHECK(last("quiet") == last("a"));
    CHECK(last("other") != last("a"));
    CHECK(slurp(temp / "a/depth.jsonl") == slurp(temp / "b/depth.jsonl"));
    CHECK_FALSE(slurp(temp / "a/depth.jsonl").empty());
    CHECK(slurp(temp / "quiet/depth.jsonl").empty());
}

TEST_CASE("a run out of patience is done, and bf16 resumes to the bytes of an unbroken run", "[run]") {
    const TempFolder temp;
    // A rate this small changes no weight, so that no validation is better than the first.
    const auto stuck = tiny_run(temp / "stuck", {"train.lr=1e-30", "train.weight_decay=0",
                                                 "train.eval_every=5", "train.patience=2"});
    REQUIRE(run_plumb(stuck).code == 0);
    CHECK(slurp(temp / "stuck/STATUS") == "done\n");
    const auto summary = nlohmann::json::parse(slurp(temp / "stuck/summary.json"));
    CHECK(summary.at("steps") == 10);
    CHECK(summary.at("best_step") == 0);
    auto again = stuck;
    again.insert(again.end(), {"--resume", "auto"});
    CHECK_THAT(run_plumb(again).out, contains_text("is done already"));

    const std::vector<std::string> bf16{"--precision", "bf16", "model.dropout=0.1",
                                        "train.checkpoint_every=10"};
    REQUIRE(run_plumb(tiny_run(temp / "whole", bf16)).code == 0);
    REQUIRE(run_plumb(tiny_run(temp / "broken", bf16)).code == 0);
    REQUIRE(fs::exists(checkpoint_of(temp / "broken", 10)));
    REQUIRE(fs::remove_all(checkpoint_of(temp / "broken", 20)) > 0);
    spill(temp / "broken/STATUS", "running\n");
    auto resume = tiny_run(temp / "broken", bf16);
    resume.insert(resume.end(), {"--resume", "must"});
    const Outcome resumed = run_plumb(resume);
    INFO(resumed.out);
    REQUIRE(resumed.code == 0);
    CHECK(content(checkpoint_of(temp / "broken", 20)) ==
          content(checkpoint_of(temp / "whole", 20)));
}

TEST_CASE("a run that diverges says where, and keeps its last checkpoint", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    const Outcome o =
        run_plumb(tiny_run(run, {"train.lr=1e6", "train.clip=0", "train.checkpoint_every=1"}));
    INFO(o.out);
    CHECK(o.code == 3);
    for (const char* text : {": loss is ", "first tensor that is not finite", "train.lr",
                             "The last good checkpoint is"})
        CHECK_THAT(o.out, contains_text(text));
    CHECK(slurp(run / "STATUS") == "diverged\n");
    const auto summary = nlohmann::json::parse(slurp(run / "summary.json"));
    CHECK(summary.at("status") == "diverged");
    CHECK(summary.at("steps").get<long>() >= 1);
    CHECK_THAT(o.out, contains_text(fmt::format("step {}: loss", summary.at("steps").get<long>())));
    CHECK(run_plumb({"generate", run, "--prompt", "1 2", "--tokens", "2"}).code == 0);

    const Outcome none = run_plumb(tiny_run(temp / "none", {"train.lr=1e6", "train.clip=0"}));
    CHECK(none.code == 3);
    CHECK_THAT(none.out, contains_text("No checkpoint had been written yet"));
}

TEST_CASE("a parameter that is not a number is named on resuming", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    spill(run / "STATUS", "running\n");
    poison(checkpoint_of(run, 20) / "model.safetensors", "layer.0.mlp.up.weight");
    const auto before = content(run);
    const Outcome o = run_plumb(tiny_run(run, {"--resume", "auto"}));
    INFO(o.out);
    CHECK(o.code == 3);
    for (const char* text : {"step 20", "layer.0.mlp.up.weight is not finite", "remove "})
        CHECK_THAT(o.out, contains_text(text));
    CHECK(content(run) == before);
}

TEST_CASE("an interrupt amid large products ends with a checkpoint", "[run]") {
    // Wide enough for oneDNN's generated code to be what is usually interrupted.
    const TempFolder temp;
    for (int i = 0; i < 6; ++i) {
        const fs::path run = temp / std::to_string(i);
        Launch launch;
        launch.meanwhile = [&, i](pid_t child) {
            signal_when_exists(run / "matrix/step_00000000.safetensors", 0)(child);
            std::this_thread::sleep_for(std::chrono::milliseconds(300 + 37 * i));
            ::kill(child, SIGINT);
        };
        const Outcome o =
            run_plumb({"train", "data.task=markov", "model.layers=4", "model.context=128",
                       "train.steps=100000", "train.eval_batches=1", "train.eval_every=100000",
                       "train.checkpoint_every=100000", "--threads", "1", "--out", run},
                      launch);
        INFO(o.out);
        CHECK(o.code == 130);
        CHECK(slurp(run / "STATUS") == "interrupted\n");
    }
}

TEST_CASE("peak memory is what the dry run announced", "[run]") {
    if (!kMemoryIsMeasured) {
        WARN("skipped under AddressSanitizer");
        return;
    }
    const TempFolder temp;
    // The program and its libraries.
    const double base = run_plumb(tiny_run(temp / "base")).max_rss_bytes;
    for (const char* mixer : {"standard", "hyper"}) {
        std::vector<std::string> args{"train",
                                      fmt::format("mixer={}", mixer),
                                      "data.task=markov",
                                      "model.layers=6",
                                      "model.width=128",
                                      "model.context=128",
                                      "train.batch=8",
                                      "train.steps=3",
                                      "train.eval_batches=1",
                                      "record.probe_every=0",
                                      "--threads",
                                      "1"};
        std::vector<std::string> dry = args;
        dry.push_back("--dry-run");
        const std::string plan = run_plumb(dry).out;
        const auto at = plan.find("memory_bytes: ");
        REQUIRE(at != std::string::npos);
        const double planned = std::stod(plan.substr(at + 14));
        args.insert(args.end(), {"--out", temp / mixer});
        const Outcome o = run_plumb(args);
        INFO(mixer << ": planned " << planned / 1e6 << " MB, peak " << o.max_rss_bytes / 1e6
                   << " MB, of a tiny model " << base / 1e6 << " MB");
        REQUIRE(o.code == 0);
        CHECK(std::abs(o.max_rss_bytes - base - planned) <= 0.05 * planned + 2e6);
    }
}
