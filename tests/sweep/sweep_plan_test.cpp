// From a sweep file to numbered runs.
#include "catch.h"
#include "core/check.h"
#include "core/json.h"
#include "support/check_message.h"
#include "sweep/expand.h"
#include "sweep/made_sweep.h"
#include "sweep/plan_file.h"

#include <set>

using namespace plumb;
using namespace plumb::test;

namespace {

std::vector<std::string> ids(const SweepPlan& plan) {
    std::vector<std::string> out;
    for (const PlannedRun& run : plan.runs) out.push_back(run.id);
    return out;
}

}  // namespace

TEST_CASE("base < grid and zip < variant < when < seed", "[sweep]") {
    const MadeSweep sweep(
        "seeds = \"1..2\"\n[[variant]]\nname = \"standard\"\n[[variant]]\nname = \"full\"\n"
        "mixer.name = \"attnres\"\ntrain.warmup = 3\n[grid]\ntrain.lr = [1e-3, 2e-3]\n"
        "[zip]\nmodel.layers = [2, 4]\nmodel.width = [16, 32]\n"
        "[[when]]\nif = { mixer.name = \"attnres\", model.layers = 4 }\nset = { train.warmup = 9 "
        "}\n"
        "[[when]]\nif = { train.warmup = [9, 10] }\nset = { train.beta2 = 0.9 }\n"
        "[[exclude]]\nmixer.name = \"attnres\"\ntrain.lr = [2e-3, 3e-3]\n");
    const SweepPlan plan = sweep.plan();
    CHECK(count_of(plan, "standard") == 8);
    CHECK(count_of(plan, "full") == 4);
    for (const PlannedRun& run : plan.runs) {
        const TrainConfig& t = run.config.train;
        CHECK(run.config.model.width == run.config.model.layers * 8);
        CHECK(t.seed == run.seed);
        if (run.variant == "standard") CHECK(t.warmup == 2);
        if (run.variant == "full") CHECK(t.lr == 1e-3);
        const bool late = run.variant == "full" && run.config.model.layers == 4;
        if (run.variant == "full") CHECK(t.warmup == (late ? 9 : 3));
        CHECK(t.beta2 == (late ? 0.9 : 0.95));
        CHECK(run.params > 0);
        CHECK(run.tokens == 40 * 2 * 64);
        CHECK(run.index == -1);
    }
    CHECK(plan.comparisons == 1);
    CHECK(plan.runs.front().config.record.label == "standard layers=2 width=16 lr=0.001");
}

TEST_CASE("a condition that no run meets is told, with its line", "[sweep]") {
    const MadeSweep sweep(std::string("seeds = [1]\n") + kTwoVariants +
                          "[grid]\ntrain.lr = [1e-3, 2e-3]\n[tune]\ntrain.beta2 = [0.9, 0.99]\n"
                          "[[when]]\nif = { train.lr = 1e-3 }\nset = { train.warmup = 3 }\n"
                          "[[when]]\nif = { train.lr = 3e-3 }\nset = { train.warmup = 3 }\n"
                          "[[exclude]]\nmixer.name = \"attnres_block\"\ntrain.beta2 = 0.9\n"
                          "[[exclude]]\nmixer.name = \"mhc\"\n");
    const std::vector<std::string> warnings = sweep.plan().warnings;
    REQUIRE(warnings.size() == 2);
    CHECK_THAT(warnings[0], contains_text("no run meets this [[when]]: it sets nothing"));
    CHECK_THAT(warnings[1], contains_text("no run meets this [[exclude]]: it drops nothing"));
    CHECK_THAT(warnings[0], contains_text("q.toml:"));
}

TEST_CASE("a key that a variant does not read is no point of it", "[sweep]") {
    const MadeSweep sweep(std::string("seeds = [1]\n") + kTwoVariants +
                          "[grid]\nmixer.block_size = [1, 2]\nmixer.lr_scale = [1, 10]\n");
    const SweepPlan plan = sweep.plan();
    CHECK(count_of(plan, "standard") == 1);
    CHECK(count_of(plan, "block") == 4);
    CHECK(plan.runs.front().point.empty());
    REQUIRE(plan.notes.size() == 3);
    CHECK_THAT(plan.notes[0] + plan.notes[1], contains_text("is read by attnres_block alone"));
    CHECK(plan.comparisons == 4);
}

TEST_CASE("what no run can be is told of all runs before anything is made", "[sweep]") {
    const MadeSweep sweep(
        "[[variant]]\nname = \"standard\"\nmixer.streams = 2\n"
        "[[variant]]\nname = \"wide\"\nmodel.width = 15\n");
    CHECK_THAT(sweep.fault(), contains_text("mixer.streams is an option of hyper, mhc"));
    CHECK_FALSE(std::filesystem::exists(sweep.out));
    const MadeSweep odd("[[variant]]\nname = \"standard\"\n[grid]\nmodel.heads = [2, 3, 5]\n");
    CHECK_THAT(odd.fault(), contains_text("q.toml: standard heads=3: "));
    CHECK_THAT(odd.fault(), contains_text("q.toml: standard heads=5: "));
    spill(odd.temp / "base.toml", "");
    CHECK_THAT(odd.fault(), contains_text("no data to train on"));
    const MadeSweep nothing("[[variant]]\nname = \"a\"\n[[exclude]]\nmodel.layers = 2\n");
    CHECK_THAT(nothing.fault(), contains_text("everything is excluded"));
}

TEST_CASE("an index is a run's for ever: seeds, variants and exclusions add lines only",
          "[sweep]") {
    const MadeSweep sweep(std::string("seeds = \"1..2\"\n") + kTwoVariants);
    const auto first = ids(sweep.written());
    const std::string lines = slurp(sweep.out / "plan.jsonl");
    CHECK(read_plan_file(sweep.out).size() == 4);
    CHECK(ids(sweep.written()) == first);  // a second planner appends nothing
    CHECK(slurp(sweep.out / "plan.jsonl") == lines);

    sweep.write(std::string("seeds = \"1..3\"\n[[variant]]\nname = \"full\"\n"
                            "mixer.name = \"attnres\"\n") +
                kTwoVariants + "[[exclude]]\nmixer.name = \"attnres_block\"\n");
    const SweepPlan plan = sweep.written();
    CHECK(slurp(sweep.out / "plan.jsonl").starts_with(lines));
    CHECK(plan.orphans == 2);
    const auto known = read_plan_file(sweep.out);
    REQUIRE(known.size() == 4 + 1 + 3);
    for (std::size_t i = 0; i < 4; ++i) CHECK(known[i].id == first[i]);
    std::set<long> indices;
    for (const PlannedRun& run : plan.runs) {
        CHECK(known[static_cast<std::size_t>(run.index)].id == run.id);
        indices.insert(run.index);
    }
    CHECK(indices.size() == plan.runs.size());
    CHECK(runs_at(plan, 4, 4).front().variant == "full");
    CHECK_THROWS_AS(runs_at(plan, 2, 2), UsageError);  // excluded since
    CHECK_THROWS_AS(runs_at(plan, 99, 99), UsageError);
}

TEST_CASE("a planner that was killed amid a line leaves a plan that goes on", "[sweep]") {
    const MadeSweep sweep(std::string("seeds = \"1..2\"\n") + kTwoVariants);
    const auto first = ids(sweep.written());
    const std::string whole = slurp(sweep.out / "plan.jsonl");
    for (const std::size_t cut : {std::size_t{0}, std::size_t{10}, whole.size() - 1}) {
        spill(sweep.out / "plan.jsonl", whole.substr(0, cut));
        CHECK(ids(sweep.written()) == first);
        CHECK(read_plan_file(sweep.out).size() == 4);
    }
    spill(sweep.out / "plan.jsonl", whole.substr(whole.find('\n') + 1));
    CHECK_THROWS_AS(sweep.written(), IoError);  // a line was taken out
}

TEST_CASE("another sweep in the folder, and a sweep that compares nothing, are told", "[sweep]") {
    const MadeSweep sweep(std::string("seeds = \"1..2\"\n") + kTwoVariants);
    CHECK(sweep.written().warnings.empty());
    sweep.write(std::string("seeds = \"7..8\"\n") + kTwoVariants);
    REQUIRE(sweep.plan().warnings.size() == 1);
    CHECK_THAT(sweep.plan().warnings[0], contains_text("none is of this file"));
    const MadeSweep alone("[[variant]]\nname = \"a\"\n[grid]\ntrain.lr = [1e-3, 2e-3]\n");
    CHECK_THAT(alone.plan().notes.back(), contains_text("nothing is compared"));
}

TEST_CASE("the folder of a sweep stands for itself", "[sweep]") {
    const MadeSweep sweep(std::string("seeds = \"1..2\"\nmargin = 0.01\n") + kTwoVariants);
    const SweepPlan plan = sweep.written({{"train.lr=5e-3"}, "", "", "", ""});
    spill(sweep.temp / "base.toml", "[model]\nlayers = 9\n");  // the original changes
    const SweepPlan own = make_plan(read_sweep_file(sweep.out / "sweep.toml"));
    CHECK(ids(own) == ids(plan));
    CHECK(own.runs.front().dir == plan.runs.front().dir);
    const auto json = read_json_object(sweep.out / "sweep.json");
    CHECK(json.at("margin") == 0.01);
    CHECK(json.at("current").size() == 4);
    CHECK(json.at("variants")[1].at("settings").at("mixer.name") == "attnres_block");
}

TEST_CASE("options --only and --seeds restrict what is run, not the sweep", "[sweep]") {
    const MadeSweep sweep(std::string("seeds = \"1..3\"\n") + kTwoVariants);
    const SweepPlan plan = sweep.written({{}, "", "b*", "1,3", ""});
    CHECK(plan.runs.size() == 2);
    CHECK(read_plan_file(sweep.out).size() == 6);
    CHECK(read_json_object(sweep.out / "sweep.json").at("current").size() == 6);
    CHECK_THROWS_AS(sweep.plan({{}, "", "x*", "", ""}), UsageError);
}

TEST_CASE("settings that are the same are one run", "[sweep]") {
    const MadeSweep sweep(
        "seeds = [1]\n[[variant]]\nname = \"standard\"\n[[variant]]\n"
        "name = \"same\"\nmodel.layers = 2\n[grid]\nrecord.probe_every = [5, 6]\n");
    const SweepPlan plan = sweep.plan();
    CHECK(plan.runs.size() == 1);
    REQUIRE(plan.warnings.size() == 2);
    CHECK_THAT(plan.warnings[1], contains_text("same and standard have the same settings"));
}

TEST_CASE("names of folders are plain words", "[sweep]") {
    PlannedRun run;
    run.variant = "../\xc3\xa4 b";
    run.point = {{"train.lr", "0.001"}, {"data.task", "\"copy\""}};
    run.seed = 3;
    run.id = "0123456789";
    CHECK(folder_name(run) == "_.____b-taskcopy-lr0.001-s3-0123456789");
}
