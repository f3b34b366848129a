// A sweep of tiny runs, trained by the program that was built.
#include "catch.h"
#include "sweep/hand_made_plan.h"
#include "sweep/run_look.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("a sweep trains what is left, and skips what has ended", "[sweep]") {
    const TempFolder temp;
    SweepAtWork first;
    const SweepResult r = first.run(tiny_plan(temp.path(), 2));
    CHECK(r.outcome == SweepOutcome::all_done);
    CHECK(r.last.counts.done == 4);
    CHECK(first.count("start") == 4);
    CHECK(first.count("done") == 4);
    CHECK_THAT(r.last.best, contains_text(" s"));
    for (const PlannedRun& run : tiny_plan(temp.path(), 2).runs) {
        CHECK(look_at_run(run.dir).word == RunWord::done);
        CHECK_THAT(slurp(run.dir / "log.txt"), contains_text("step 40/40"));
        CHECK(pace_of(run.dir).step == 40);
        CHECK(pace_of(run.dir).tokens_per_s > 0);
    }
    SweepAtWork second;
    CHECK(second.run(tiny_plan(temp.path(), 3)).last.counts.done == 6);
    CHECK(second.count("start") == 2);  // the seed that was added
}
