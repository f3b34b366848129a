// Whole runs of the built program: stopped, killed, resumed, diverged; their files and their
// memory.
#include "catch.h"
#include "record/tfevents.h"
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

std::vector<nlohmann::json> lines_of(const fs::path& file) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(slurp(file));
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
}

nlohmann::json read_json(const fs::path& file) { return nlohmann::json::parse(slurp(file)); }

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

// The hashes in DONE are made to fit the files.
void sign(const fs::path& checkpoint) {
    std::string done;
    for (const char* name : {"model.safetensors", "optimizer.safetensors", "state.json"})
        done += sha256_hex(slurp(checkpoint / name)) + "  " + name + "\n";
    spill(checkpoint / "DONE", done);
}

// Sets the first number of a tensor in a safetensors file.
void poison(const fs::path& file, const std::string& tensor, float value) {
    std::string bytes = slurp(file);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    const auto json = nlohmann::json::parse(bytes.substr(8, header));
    const std::size_t at = json.at(tensor).at("data_offsets").at(0);
    std::memcpy(bytes.data() + 8 + header + at, &value, sizeof value);
    spill(file, bytes);
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
    CHECK(run_plumb({"train", "--out", stopped, "--resume", "must", "--threads", "1"}).code == 0);
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
    const TempFolder temp;
    for (const int signal : {SIGHUP, SIGUSR1}) {
        const fs::path run = temp / std::to_string(signal);
        Launch launch;
        launch.meanwhile = signal_when_exists(checkpoint_of(run, 20), signal);
        const Outcome o = run_plumb(run_args(run), launch);
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

TEST_CASE("validation does not depend on how a step's sequences are cut into batches", "[run]") {
    const TempFolder temp;
    std::map<long, std::vector<nlohmann::json>> losses;
    std::map<long, nlohmann::json> summaries;
    for (const long batch : {8, 2, 1}) {
        const fs::path run = temp / std::to_string(batch);
        auto args = tiny_run(
            run, {fmt::format("train.batch={}", batch),
                  fmt::format("train.accumulate={}", 8 / batch), "train.eval_sequences=13"});
        if (batch == 2) *(std::find(args.begin(), args.end(), "--threads") + 1) = "2";
        const Outcome o = run_plumb(args);
        INFO(o.out);
        REQUIRE(o.code == 0);
        for (const auto& line : lines_of(run / "metrics.jsonl"))
            if (line.contains("val/loss")) losses[batch].push_back(line.at("val/loss"));
        summaries[batch] = nlohmann::json::parse(slurp(run / "summary.json"));
    }
    REQUIRE(losses[8].size() == 3);
    for (const long batch : {2, 1}) {
        INFO("batch " << batch);
        for (std::size_t i = 0; i < losses[8].size(); ++i)
            CHECK(losses[batch].at(i).get<double>() ==
                  Approx(losses[8][i].get<double>()).epsilon(1e-6));
        CHECK(summaries[batch].at("final_val_loss").get<double>() ==
              Approx(summaries[8].at("final_val_loss").get<double>()).epsilon(1e-6));
    }
    // The end scores the whole split: 1024 sequences of 16 tokens.
    CHECK(summaries[8].at("whole_split") == true);
    CHECK(summaries[8].at("final_val_tokens") == 1024 * 16);
    CHECK(summaries[8].at("final_val_loss") != summaries[8].at("last_val_loss"));
}

TEST_CASE("a run out of patience is done, and bf16 resumes to the bytes of an unbroken run",
          "[run]") {
    const TempFolder temp;
    // A rate this small changes no weight, so that no validation is better than the first.
    const auto stuck = tiny_run(temp / "stuck", {"train.lr=1e-30", "train.weight_decay=0",
                                                 "train.eval_every=5", "train.patience=2"});
    REQUIRE(run_plumb(stuck).code == 0);
    CHECK(slurp(temp / "stuck/STATUS") == "done\n");
    const auto summary = read_json(temp / "stuck/summary.json");
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
    for (const char* key : {"final_val_loss", "best_val_loss", "last_val_loss"})
        CHECK_FALSE(summary.contains(key));
    CHECK(summary.at("steps").get<long>() >= 1);
    CHECK_THAT(o.out, contains_text(fmt::format("step {}: loss", summary.at("steps").get<long>())));
    CHECK(run_plumb({"generate", run, "--prompt", "1 2", "--tokens", "2"}).code == 0);

    // An end like any other: it would diverge again.
    const auto before = content(run);
    const Outcome again = run_plumb({"train", "--out", run, "--resume", "auto"});
    CHECK(again.code == 3);
    CHECK_THAT(again.out, contains_text("has diverged already") && contains_text("status: div"));
    CHECK(content(run) == before);
    const Outcome retried =
        run_plumb({"train", "--out", run, "--resume", "auto", "--retry-diverged"});
    CHECK(retried.code == 3);
    CHECK_THAT(retried.out, contains_text(": loss is "));
    const auto attempts = lines_of(run / "attempts.jsonl");
    REQUIRE(attempts.size() == 2);
    for (const auto& a : attempts) CHECK(a.at("exit") == 3);

    const Outcome none = run_plumb(tiny_run(temp / "none", {"train.lr=1e6", "train.clip=0"}));
    CHECK(none.code == 3);
    CHECK_THAT(none.out, contains_text("No checkpoint had been written yet"));
}

TEST_CASE("a start that is too loud is told from a rate that is too large", "[run]") {
    const TempFolder temp;
    const std::vector<std::string> loud{"data.task_vocab=4", "model.width=64", "model.layers=2",
                                        "model.init_std=1"};
    const Outcome o = run_plumb(tiny_run(temp / "loud", loud));
    INFO(o.out);
    CHECK(o.code == 3);
    CHECK_THAT(o.out, contains_text("step 0: loss is") && contains_text("model.init_std") &&
                          contains_text("train.divergence_limit") &&
                          !contains_text("more train.warmup"));
    auto allowed = loud;
    allowed.push_back("train.divergence_limit=0");
    CHECK(run_plumb(tiny_run(temp / "allowed", allowed)).code == 0);
}

TEST_CASE(
    "a checkpoint of another step, seed, mixer, setting or with impossible numbers is refused",
    "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run", last = checkpoint_of(run, 20);
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    spill(run / "STATUS", "running\n");
    const std::string state = slurp(last / "state.json"), model = slurp(last / "model.safetensors"),
                      optimizer = slurp(last / "optimizer.safetensors");
    const auto refused = [&](const std::vector<std::string>& mentions) {
        sign(last);
        const auto before = content(run);
        const Outcome o = run_plumb({"train", "--out", run, "--resume", "auto"});
        INFO(o.out);
        CHECK(o.code == 4);
        for (const std::string& text : mentions) CHECK_THAT(o.out, contains_text(text));
        CHECK_THAT(o.out, contains_text("--resume-from 15 goes on"));
        CHECK(content(run) == before);
        spill(last / "state.json", state);
        spill(last / "model.safetensors", model);
        spill(last / "optimizer.safetensors", optimizer);
    };
    const auto edited = [&](const std::string& key, const nlohmann::json& value) {
        auto json = nlohmann::json::parse(state);
        json[nlohmann::json::json_pointer(key)] = value;
        spill(last / "state.json", json.dump());
    };
    edited("/step", 3), refused({"state.json", "step 3"});
    edited("/seed", 2), refused({"state.json", "seed 2, not 1"});
    edited("/mixer", "mhc"), refused({"state.json", "the mixer mhc, not standard"});
    edited("/settings/train.lr", "0.5"), refused({"another config", "train.lr (0.5 there, 0.001"});
    edited("/step", "twenty"), refused({"state.json", "must be number"});
    edited("/best_step", nullptr), refused({"state.json"});
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const std::string weight = "layer.0.mlp.up.weight";
    poison(last / "model.safetensors", weight, NAN), refused({weight + " is not finite"});
    poison(last / "optimizer.safetensors", "v." + weight, kInf);
    refused({"optimizer.safetensors is damaged: v." + weight + " is not finite"});
    poison(last / "optimizer.safetensors", "v." + weight, -1e-9f);
    refused({"v." + weight + " is negative"});
    poison(last / "optimizer.safetensors", "m." + weight, kInf), refused({"m." + weight});

    // A checkpoint from beyond the last step: the run must not look for a step that never comes.
    const fs::path beyond = checkpoint_of(run, 40);
    fs::copy(last, beyond);
    auto json = nlohmann::json::parse(state);
    json["step"] = 40;
    spill(beyond / "state.json", json.dump());
    sign(beyond);
    const Outcome o = run_plumb({"train", "--out", run, "--resume", "auto"});
    CHECK((o.code == 2 || o.code == 4));
    CHECK_THAT(o.out, contains_text("train.steps"));
    fs::remove_all(beyond);

    // Schema 1: no hashes and no settings.
    json["step"] = 20, json.erase("settings"), json.erase("schema");
    spill(last / "state.json", json.dump());
    spill(last / "DONE", "");
    CHECK(run_plumb({"train", "--out", run, "--resume", "auto"}).code == 0);
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
                                      "train.eval_sequences=8",
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
