// Whole runs of the built program: their numbers, how they end, and their memory.
#include "catch.h"
#include "support/allocations.h"
#include "support/run_files.h"

#include <map>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

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

TEST_CASE("peak memory is what the dry run announced", "[run]") {
    if (!kMemoryIsMeasured) {
        WARN("skipped under AddressSanitizer");
        return;
    }
    const TempFolder temp;
    // The program and its libraries.
    const double base = run_plumb(tiny_run(temp / "base")).max_rss_bytes;
    const std::vector<std::vector<std::string>> cases{
        {"mixer=standard", "data.task=markov", "train.steps=3", "model.context=128",
         "train.batch=8"},
        {"mixer=hyper", "data.task=markov", "train.steps=3", "model.context=128", "train.batch=8"},
        // A vocabulary whose logits, all at once, were 206 MB. (The validation at a run's end is of
        // so many sequences: short ones.)
        {"mixer=standard", "data.task=copy", "data.task_vocab=50303", "train.steps=1",
         "model.context=16", "train.batch=64"}};
    for (const std::vector<std::string>& settings : cases) {
        std::vector<std::string> args{"train",
                                      "model.layers=6",
                                      "model.width=128",
                                      "train.eval_sequences=8",
                                      "record.probe_every=0",
                                      "--threads",
                                      "1"};
        args.insert(args.end(), settings.begin(), settings.end());
        std::vector<std::string> dry = args;
        dry.push_back("--dry-run");
        const std::string plan = run_plumb(dry).out;
        const auto at = plan.find("memory_bytes: ");
        REQUIRE(at != std::string::npos);
        const double planned = std::stod(plan.substr(at + 14));
        // Again where it seems to need less, up to three times: a busy machine takes pages back
        // from a process that waits.
        const double room = 0.05 * planned + 2e6;
        double peak = 0;
        for (int i = 0; i < 3 && peak - base < planned - room; ++i) {
            std::vector<std::string> run = args;
            run.insert(run.end(), {"--out", temp / fmt::format("{}{}", &settings - &cases[0], i)});
            const Outcome o = run_plumb(run);
            REQUIRE(o.code == 0);
            peak = std::max(peak, o.max_rss_bytes);
        }
        INFO(fmt::format("{}", fmt::join(settings, " "))
             << ": planned " << planned / 1e6 << " MB, peak " << peak / 1e6
             << " MB, of a tiny model " << base / 1e6 << " MB");
        CHECK(std::abs(peak - base - planned) <= room);
    }
}
