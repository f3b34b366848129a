// A sweep of tiny runs, a second or less each, without a sweep file.
#pragma once

#include "support/run_files.h"
#include "sweep/sweep_plan.h"
#include "sweep/sweep_runner.h"

#include <mutex>

namespace plumb::test {

inline PlannedRun tiny_planned(const std::filesystem::path& sweep, const std::string& variant,
                               long seed, const std::vector<std::string>& more = {}) {
    std::vector<std::string> settings{
        "data.task=copy",        "model.layers=1",    "model.width=16",
        "model.heads=2",         "model.context=64",  "train.batch=2",
        "train.steps=40",        "train.warmup=2",    "train.eval_sequences=2",
        "train.eval_every=10",   "train.log_every=1", "train.checkpoint_every=5",
        "record.probe_every=20", "mixer=" + variant,  fmt::format("train.seed={}", seed)};
    settings.insert(settings.end(), more.begin(), more.end());
    PlannedRun run;
    run.variant = variant;
    run.stage = "main";
    run.seed = seed;
    run.config = load_config("", settings).config;
    run.id = fmt::format("{}{}", variant, seed);
    run.dir = sweep / fmt::format("{}-s{}", variant, seed);
    run.tokens = static_cast<double>(run.config.train.steps * 128);
    run.flops_per_token = 1000;
    return run;
}

inline SweepPlan tiny_plan(const std::filesystem::path& sweep, long seeds,
                           const std::vector<std::string>& more = {}) {
    SweepPlan plan;
    plan.file.name = "tiny";
    plan.file.out = sweep;
    for (const char* variant : {"standard", "attnres"})
        for (long seed = 1; seed <= seeds; ++seed)
            plan.runs.push_back(tiny_planned(sweep, variant, seed, more));
    return plan;
}

// Runs it in this process with the program that was built; events go to `events`.
struct SweepAtWork {
    SweepRunOptions options;
    std::vector<std::string> events;
    std::function<void(const std::string&)> on_event{};
    std::function<SweepPlan()> replan{};
    StopFlag stop{false};

    SweepAtWork() {
        options.jobs = 2;
        options.program = program_path();
        options.retry.waits = {std::chrono::milliseconds(10)};
    }
    SweepResult run(SweepPlan plan) {
        const SweepObserver observer{[this](const std::string& text, bool) {
                                         events.push_back(text);
                                         if (on_event) on_event(text);
                                     },
                                     [] { return false; },
                                     {}};
        return run_sweep(std::move(plan), replan, options, observer, stop);
    }
    long count(const std::string& word) const {
        return std::count_if(events.begin(), events.end(),
                             [&](const std::string& e) { return e.starts_with(word); });
    }
};

}  // namespace plumb::test
