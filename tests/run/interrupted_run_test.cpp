// Runs of the built program that are stopped or killed, and what they are when they have gone on.
#include "catch.h"
#include "formats/tfevents.h"
#include "support/run_files.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

constexpr long kSteps = 120, kEvery = 10;

// About a second; every checkpoint is kept.
std::vector<std::string> run_args(const fs::path& out, const std::vector<std::string>& more = {},
                                  long steps = kSteps) {
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
                                  fmt::format("train.steps={}", steps),
                                  "train.eval_sequences=8",
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

// Everything a run computed is what the uninterrupted one computed.
void check_same_run(const fs::path& run, const fs::path& whole) {
    CHECK(slurp(run / "STATUS") == "done\n");
    for (long step = kEvery; step <= kSteps; step += kEvery) {
        INFO("checkpoint of step " << step);
        CHECK(content(checkpoint_of(run, step)) == content(checkpoint_of(whole, step)));
    }
    CHECK(content(run / "checkpoints/best") == content(whole / "checkpoints/best"));
    CHECK(content(run / "matrix") == content(whole / "matrix"));
    for (const char* file : {"metrics.jsonl", "depth.jsonl", "summary.json", "config.toml"}) {
        INFO(file);
        CHECK(slurp(run / file) == slurp(whole / file));
    }
}

}  // namespace

TEST_CASE("a run that is stopped or killed ends in the bytes of one that is not", "[run]") {
    const TempFolder temp;
    const fs::path whole = temp / "whole", stopped = temp / "stopped", killed = temp / "killed";
    REQUIRE(run_plumb(run_args(whole)).code == 0);
    REQUIRE(lines_of(whole / "metrics.jsonl").size() == 1 + kSteps / 3 + kSteps / 20 - kSteps / 60);

    long at = 20;
    for (const int signal : {SIGINT, SIGTERM}) {
        Launch launch;
        launch.meanwhile = signal_when_exists(checkpoint_of(stopped, at), signal);
        const Outcome o = run_plumb(run_args(stopped, {"--resume", "auto"}), launch);
        INFO(o.out);
        CHECK(o.code == 130);
        CHECK_THAT(o.out, contains_text("interrupted after a checkpoint"));
        CHECK_THAT(o.out, contains_text("plumb train --out " + stopped.string()));
        CHECK(slurp(stopped / "STATUS") == "interrupted\n");
        at += 30;
    }
    // As if it had been killed between its line in attempts.jsonl and the release of its lock.
    spill(stopped / ".lock", lines_of(stopped / "attempts.jsonl").at(1).dump());
    CHECK(run_plumb({"train", "--out", stopped, "--resume", "must", "--threads", "1"}).code == 0);
    check_same_run(stopped, whole);
    CHECK(lines_of(stopped / "attempts.jsonl").size() == 3);

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

    // Who was at it, and what it cost.
    const auto attempts = lines_of(killed / "attempts.jsonl");
    REQUIRE(attempts.size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(attempts[i].at("attempt") == i + 1);
        CHECK(attempts[i].at("pid") > 0);
        CHECK(attempts[i].at("exit") == (i < 4 ? nlohmann::json() : nlohmann::json(0)));
    }
    CHECK_THAT(attempts[0].at("why").get<std::string>(), contains_text("killed"));
    CHECK(attempts[4].at("why") == "done");
    CHECK(attempts[4].at("to_step") == kSteps);
    CHECK(attempts[4].at("from_step") >= 90);
    CHECK(lines_of(stopped / "attempts.jsonl").at(0).at("exit") == 130);
    for (const fs::path& run : {whole, stopped, killed}) {
        const auto times = read_json(run / "timing.json");
        long steps = 0;
        for (const auto& a : times.at("attempts"))
            steps += a.at("to_step").get<long>() - a.at("from_step").get<long>();
        CHECK(steps == kSteps);  // none is counted twice
        CHECK(times.at("time_s") > 0);
        CHECK(times.at("tok_per_s") > 0);
        CHECK(times.at("peak_memory_bytes") > 1e6);
        CHECK(times.at("threads") == 1);
    }
}

TEST_CASE("a closed terminal and a batch system's notice end a run as Ctrl-C does", "[run]") {
    std::signal(SIGHUP, SIG_DFL);  // whatever these tests run under
    const TempFolder temp;
    for (const int signal : {SIGHUP, SIGUSR1}) {
        const fs::path run = temp / std::to_string(signal);
        Launch launch;
        launch.meanwhile = signal_when_exists(checkpoint_of(run, 20), signal);
        const Outcome o = run_plumb(run_args(run, {}, 100 * kSteps), launch);  // ended by it alone
        INFO(o.out);
        CHECK(o.code == 130);
        CHECK(slurp(run / "STATUS") == "interrupted\n");
    }
    // Under nohup a hang-up is no reason to end.
    const auto before = std::signal(SIGHUP, SIG_IGN);
    Launch launch;
    launch.meanwhile = signal_when_exists(checkpoint_of(temp / "nohup", 20), SIGHUP);
    CHECK(run_plumb(run_args(temp / "nohup"), launch).code == 0);
    std::signal(SIGHUP, before);
}

TEST_CASE("a run whose output nobody reads ends with a checkpoint", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    Launch launch;
    launch.closed_output = true;
    const Outcome o = run_plumb(run_args(run), launch);
    INFO(o.out);
    CHECK(o.code == 130);
    CHECK_THAT(o.out, contains_text("Broken pipe") && contains_text("--resume auto"));
    CHECK(slurp(run / "STATUS") == "interrupted\n");
    REQUIRE(run_plumb(run_args(run, {"--resume", "must"})).code == 0);
    REQUIRE(run_plumb(run_args(temp / "whole")).code == 0);
    CHECK(content(checkpoint_of(run, kSteps)) == content(checkpoint_of(temp / "whole", kSteps)));
}

TEST_CASE("a stop amid the micro-batches of a step does not wait for their end", "[run]") {
    const TempFolder temp;
    const auto args = [&](const char* name) {
        return tiny_run(temp / name, {"train.steps=2", "train.accumulate=6000", "--resume", "auto",
                                      "train.checkpoint_every=1", "model.dropout=0.1"});
    };
    REQUIRE(run_plumb(args("whole")).code == 0);
    Launch launch;
    launch.meanwhile = [&](pid_t child) {
        signal_when_exists(temp / "stopped/matrix/step_00000000.safetensors", 0)(child);
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        ::kill(child, SIGTERM);
    };
    const Outcome o = run_plumb(args("stopped"), launch);
    INFO(o.out);
    REQUIRE(o.code == 130);
    CHECK(fs::exists(checkpoint_of(temp / "stopped", 0)));
    CHECK_FALSE(fs::exists(checkpoint_of(temp / "stopped", 1)));
    REQUIRE(run_plumb(args("stopped")).code == 0);
    CHECK(content(checkpoint_of(temp / "stopped", 2)) == content(checkpoint_of(temp / "whole", 2)));
    CHECK(slurp(temp / "stopped/metrics.jsonl") == slurp(temp / "whole/metrics.jsonl"));
}

TEST_CASE("a run killed while its folder is made can be started again", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    fs::create_directory(run);
    spill(run / ".config.toml.tmp.node-3.123", "half");
    spill(run / ".lock", "{\"pid\": 123");
    CHECK(run_plumb(tiny_run(run, {"--resume", "auto"})).code == 0);
    CHECK_FALSE(fs::exists(run / ".config.toml.tmp.node-3.123"));
}

TEST_CASE("events are on the disk with their line, and a resumed session says where it starts",
          "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    const auto events = [&] {
        std::vector<std::string> files;
        for (const auto& entry : fs::directory_iterator(run))
            if (entry.path().filename().string().starts_with("events."))
                files.push_back(entry.path());
        std::sort(files.begin(), files.end());
        return files;
    };
    // Killed between two checkpoints: what metrics.jsonl has, TensorBoard has too.
    Launch launch;
    launch.meanwhile = signal_when_exists(checkpoint_of(run, 20), SIGKILL);
    REQUIRE(
        run_plumb(tiny_run(run, {"train.steps=600", "train.checkpoint_every=20"}), launch).code ==
        128 + SIGKILL);
    const std::string logged = slurp(run / "metrics.jsonl");
    REQUIRE(events().size() == 1);
    const std::string first = slurp(events()[0]);
    const auto count = [](const std::string& text, const std::string& part) {
        long n = 0;
        for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
        return n;
    };
    CHECK(count(first, "train/loss") >= count(logged, "\"train/loss\"") - 1);
    CHECK(count(first, "train/loss") >= 20);
    CHECK(count(first, session_start_event(0, 0).substr(11)) == 0);

    REQUIRE(run_plumb({"train", "--out", run, "--resume", "auto", "train.checkpoint_every=600",
                       "--threads", "1"})
                .code == 0);
    REQUIRE(events().size() == 2);
    const long resumed = lines_of(run / "attempts.jsonl").at(1).at("from_step");
    // Whole but for the time of the call.
    const std::string start = session_start_event(0, resumed + 1).substr(9);
    CHECK(count(slurp(events()[1]), start) == 1);
}

TEST_CASE("a run that goes on from an earlier checkpoint ends as the same run", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run", whole = temp / "whole";
    const std::vector<std::string> keep{"train.keep_checkpoints=9"};
    REQUIRE(run_plumb(tiny_run(run, keep)).code == 0);
    REQUIRE(run_plumb(tiny_run(whole, keep)).code == 0);
    for (const long step : {10L, 0L}) {
        spill(checkpoint_of(run, 15) / "model.safetensors", "damaged");
        const Outcome o = run_plumb({"train", "--out", run, "--resume-from", std::to_string(step)});
        INFO(o.out);
        REQUIRE(o.code == 0);
        for (const char* file : {"metrics.jsonl", "depth.jsonl", "summary.json"})
            CHECK(slurp(run / file) == slurp(whole / file));
        CHECK(content(run / "checkpoints") == content(whole / "checkpoints"));
    }
    const auto before = content(run);
    const Outcome none = run_plumb({"train", "--out", run, "--resume-from", "7"});
    CHECK(none.code == 2);
    CHECK_THAT(none.out, contains_text("it has @20, @15, @10, @5"));
    CHECK(run_plumb({"train", "--out", temp / "new", "--resume-from", "5"}).code == 2);
    CHECK(run_plumb(tiny_run(run, {"--resume", "never", "--resume-from", "5"})).code == 2);
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
                       "train.steps=100000", "train.eval_sequences=8", "train.eval_every=100000",
                       "train.checkpoint_every=100000", "--threads", "1", "--out", run},
                      launch);
        INFO(o.out);
        CHECK(o.code == 130);
        CHECK(slurp(run / "STATUS") == "interrupted\n");
    }
}
