#include "sweep/cull.h"

#include "catch.h"
#include "sweep/fake_program.h"
#include "sweep/run_look.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

PlannedRun with_losses(const fs::path& sweep, long seed, double first, double second) {
    PlannedRun run = tiny_planned(sweep, "standard", seed);
    fs::create_directories(run.dir);
    spill(run.dir / "metrics.jsonl",
          fmt::format("{{\"step\":0,\"val/loss\":9}}\n{{\"step\":10,\"val/loss\":{}}}\n"
                      "{{\"step\":15,\"train/loss\":1}}\n{{\"step\":20,\"val/loss\":{}}}\n",
                      first, second));
    return run;
}

}  // namespace

TEST_CASE("a run is judged by its first validation loss at the share", "[sweep]") {
    const TempFolder temp;
    const PlannedRun run = with_losses(temp.path(), 1, 3, 2);  // of 40 steps
    CHECK(loss_at_share(run, 0.25) == 3.0);
    CHECK(loss_at_share(run, 0.26) == 2.0);
    CHECK_FALSE(loss_at_share(run, 0.6));
    CHECK_FALSE(loss_at_share(tiny_planned(temp.path(), "standard", 9), 0.25));
}

TEST_CASE("a run far above the best at the same share is culled", "[sweep]") {
    const TempFolder temp;
    Culling culling(SweepCull{0.25, 1.0});
    CHECK(culling.look(with_losses(temp.path(), 1, 3.0, 2)).empty());  // nothing to compare with
    CHECK(culling.look(with_losses(temp.path(), 2, 3.9, 2)).empty());
    CHECK_THAT(culling.look(with_losses(temp.path(), 3, 4.1, 2)),
               contains_text("4.1000 at 25% of its steps, more than 1 above the best, 3.0000"));
    CHECK(culling.look(with_losses(temp.path(), 4, 2.0, 2)).empty());
    CHECK_FALSE(culling.look(with_losses(temp.path(), 5, 3.5, 2)).empty());
    CHECK(Culling({}).look(with_losses(temp.path(), 6, 99, 99)).empty());
}

TEST_CASE("a culled run is stopped, marked, and not made again", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.jobs = 1;
    work.options.program =
        fake_program(temp / "fake",
                     "loss=2; case $dir in *s2) loss=5;; esac\n"
                     "echo \"{\\\"step\\\":10,\\\"val/loss\\\":$loss}\" >$dir/metrics.jsonl\n"
                     "[ $loss = 2 ] && { echo done >$dir/STATUS; exit 0; }\n"
                     "trap 'echo interrupted >$dir/STATUS; exit 130' TERM\n"
                     "i=0; while [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done\n");
    SweepPlan plan = tiny_plan(temp / "sweep", 2);
    plan.file.cull = SweepCull{0.25, 1.0};
    const SweepResult r = work.run(plan);
    CHECK(r.outcome == SweepOutcome::all_done);
    CHECK(r.last.counts.culled == 2);
    CHECK(r.last.counts.done == 2);
    CHECK_THAT(slurp(plan.runs[1].dir / "CULLED"), contains_text("more than 1 above the best"));
    CHECK(look_at_run(plan.runs[1].dir).word == RunWord::culled);
    CHECK(work.run(plan).last.counts.culled == 2);
    CHECK(calls_of(plan.runs[1]) == 1);
}
