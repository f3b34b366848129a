// Runs that fail: tried again, given up, or the end of the sweep.
#include "catch.h"
#include "core/files.h"
#include "sweep/fake_program.h"
#include "sweep/run_look.h"
#include "sweep/set_aside.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("a run that failed by its surroundings is tried again", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.program = fake_program(
        temp / "fake",
        "case $dir in *standard-s1) [ $n -gt 2 ] || { echo 'plumb: no space'; exit 4; };;"
        "*standard-s2) [ $n -gt 1 ] || kill -9 $$;; esac\n");
    const SweepPlan plan = tiny_plan(temp / "sweep", 2);
    const SweepResult r = work.run(plan);
    CHECK(r.outcome == SweepOutcome::all_done);
    CHECK(calls_of(plan.runs[0]) == 3);
    CHECK(calls_of(plan.runs[1]) == 2);
    CHECK(calls_of(plan.runs[2]) == 1);
    CHECK(work.count("failed     standard-s1 (attempt 1 of 3): no space; again in") == 1);
    CHECK(work.count("failed     standard-s1 (attempt 2 of 3): no space; again in") == 1);
    CHECK(work.count("failed     standard-s2 (attempt 1 of 3): killed (signal 9)") == 1);
    CHECK(r.last.failed.empty());  // in the end they were not
}

TEST_CASE("a run that waits for its next attempt is not waited for when another has ended it",
          "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.retry.waits = {std::chrono::hours(1)};
    work.options.program = fake_program(
        temp / "fake",
        "case $dir in *standard-s1) (sleep 0.5; echo done >$dir/STATUS) & exit 4;; esac\n");
    const SweepPlan plan = tiny_plan(temp / "sweep", 1);
    const SweepResult r = work.run(plan);
    CHECK(r.outcome == SweepOutcome::all_done);
    CHECK(calls_of(plan.runs[0]) == 1);
    CHECK(work.count("failed     standard-s1 (attempt 1 of 3)") == 1);
    CHECK(work.count("done       standard-s1  (by another process)") == 1);
}

TEST_CASE("a run that keeps failing is given up, and the others go on", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.program = fake_program(
        temp / "fake", "case $dir in *standard-s2) echo 'plumb: cannot write'; exit 4;; esac\n");
    const SweepPlan plan = tiny_plan(temp / "sweep", 3);
    const SweepResult r = work.run(plan);
    CHECK(r.outcome == SweepOutcome::some_failed);
    CHECK(calls_of(plan.runs[1]) == 3);
    CHECK(r.last.counts.done == 5);
    CHECK(r.last.counts.failed == 1);
    REQUIRE(r.last.failed.size() == 1);
    CHECK(r.last.failed[0].why == "cannot write");
    CHECK(r.last.failed[0].log == (plan.runs[1].dir / "log.txt").string());
}

TEST_CASE("a run that failed before it began is known by its log", "[sweep]") {
    const TempFolder temp;
    const SweepPlan plan = tiny_plan(temp / "sweep", 1);
    const auto& dir = plan.runs[0].dir;
    make_folder(dir);
    CHECK(look_at_run(dir).word == RunWord::fresh);
    spill(dir / "log.txt", "plumb: data.path=x has no train.bin\n");
    CHECK(look_at_run(dir).word == RunWord::failed);
    SweepPlan whole = plan;
    whole.file.out = temp / "sweep";
    CHECK(set_aside(whole, {"failed"}) == 1);
    CHECK(look_at_run(dir).word == RunWord::fresh);
    CHECK(std::filesystem::exists(temp / "sweep/.old/1" / dir.filename().string()));
}

TEST_CASE("what is left of a folder that was removed does not block its run", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    SweepPlan plan = tiny_plan(temp / "sweep", 1);
    const auto dir = plan.runs[0].dir;
    make_folder(dir / "checkpoints");
    spill(dir / "timing.json", "{}");
    const SweepResult r = work.run(std::move(plan));
    CHECK(r.outcome == SweepOutcome::all_done);
    CHECK(work.count("set aside") == 1);
    CHECK(std::filesystem::exists(temp / "sweep/.old/1" / dir.filename().string() / "timing.json"));
}

TEST_CASE("a diverged run is a result", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.program =
        fake_program(temp / "fake", "echo diverged >$dir/STATUS; echo 'plumb: NaN'; exit 3\n");
    const SweepPlan plan = tiny_plan(temp / "sweep", 1);
    const SweepResult r = work.run(plan);
    CHECK(r.outcome == SweepOutcome::all_done);
    CHECK(r.last.counts.diverged == 2);
    CHECK(calls_of(plan.runs[0]) == 1);
    CHECK(work.run(plan).last.counts.diverged == 2);
    CHECK(calls_of(plan.runs[0]) == 1);
}

TEST_CASE("a fault of the program is not tried again, and three in a row end the sweep",
          "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.jobs = 1;
    SECTION("one") {
        work.options.program =
            fake_program(temp / "fake", "case $dir in *standard-s2) exit 70;; esac\n");
        const SweepPlan plan = tiny_plan(temp / "sweep", 3);
        const SweepResult r = work.run(plan);
        CHECK(r.outcome == SweepOutcome::some_failed);
        CHECK(calls_of(plan.runs[1]) == 1);
        CHECK(r.last.counts.done == 5);
        CHECK(r.stopped_for.empty());
    }
    SECTION("many, with results between") {
        work.options.program = fake_program(temp / "fake", "case $dir in *s1|*s2) exit 2;; esac\n");
        const SweepResult r = work.run(tiny_plan(temp / "sweep", 3));
        CHECK(r.last.counts.failed == 4);
        CHECK(r.last.counts.done == 2);
    }
    SECTION("all") {
        work.options.program = fake_program(temp / "fake", "echo 'plumb: bad setting'; exit 2\n");
        const SweepResult r = work.run(tiny_plan(temp / "sweep", 4));
        CHECK(r.outcome == SweepOutcome::some_failed);
        CHECK(r.last.counts.failed == 3);
        CHECK(r.last.counts.queued == 5);
        CHECK_THAT(r.stopped_for, contains_text("3 runs in a row ended with exit 2: bad setting"));
    }
    SECTION("--fail-fast") {
        work.options.fail_fast = true;
        work.options.program = fake_program(temp / "fake", "exit 70\n");
        const SweepResult r = work.run(tiny_plan(temp / "sweep", 4));
        CHECK(r.last.counts.failed == 1);
        CHECK_THAT(r.stopped_for, contains_text("--fail-fast: standard-s1"));
    }
}

TEST_CASE("a folder that cannot be made is a failure of that run alone", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    const SweepPlan plan = tiny_plan(temp.path(), 1);
    spill(plan.runs[0].dir, "a file");
    const SweepResult r = work.run(plan);
    CHECK(r.outcome == SweepOutcome::some_failed);
    CHECK(r.last.counts.done == 1);
    REQUIRE(r.last.failed.size() == 1);
    CHECK_THAT(r.last.failed[0].why, contains_text("standard-s1"));
}

TEST_CASE("when the first stage has ended the second is planned and made", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.program = fake_program(temp / "fake", "case $dir in *hyper*) exit 70;; esac\n");
    const auto tuning = [&](const char* variant, long seed) {
        PlannedRun run = tiny_planned(temp / "sweep", variant, seed);
        run.stage = "tune";
        return run;
    };
    SweepPlan first;
    first.file.name = "tuned";
    first.runs = {tuning("standard", 101), tuning("standard", 102), tuning("hyper", 101)};
    first.pending = {{"standard", {}, 2, 2, 0}, {"hyper", {}, 5, 1, 0}, {"not ours", {}, 7, 1, 0}};
    int plans = 0;
    work.replan = [&] {
        ++plans;
        SweepPlan next = first;
        const bool ended = calls_of(first.runs[0]) > 0 && calls_of(first.runs[1]) > 0;
        if (ended) {
            next.pending.erase(next.pending.begin());
            next.runs.push_back(tiny_planned(temp / "sweep", "standard", 1));
            next.runs.push_back(tiny_planned(temp / "sweep", "standard", 2));
        }
        return next;
    };
    const SweepResult r = work.run(first);
    CHECK(r.last.counts.total == 5);
    CHECK(r.last.counts.done == 4);
    CHECK(r.pending == 5);  // of hyper, whose tuning failed
    CHECK(r.outcome == SweepOutcome::some_failed);
    CHECK(plans <= 3);
}

// Not of the normal suite: it wants a quiet machine. plumb_tests "[.overhead]"
TEST_CASE("a sweep costs at most 5 % over the time of its runs", "[.overhead]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.program = fake_program(temp / "fake", "exec sleep 1\n");
    const auto start = Clock::now();
    work.run(tiny_plan(temp / "sweep", 20));
    const double seconds = seconds_since(start);
    WARN(fmt::format("40 runs of 1 s, two at a time: {:.2f} s", seconds));
    CHECK(seconds < 20 * 1.05);
}
