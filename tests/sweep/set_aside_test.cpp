#include "sweep/set_aside.h"

#include "catch.h"
#include "core/check.h"
#include "run/run_lock.h"
#include "sweep/hand_made_plan.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("runs that are made again are moved aside, and nothing is overwritten", "[sweep]") {
    const TempFolder temp;
    SweepPlan plan = tiny_plan(temp.path(), 2);
    const char* words[] = {"failed\n", "done\n", "diverged\n"};
    for (std::size_t i = 0; i < 3; ++i) {
        fs::create_directories(plan.runs[i].dir);
        spill(plan.runs[i].dir / "STATUS", words[i]);
    }
    CHECK(set_aside(plan, {}) == 0);
    CHECK(set_aside(plan, {"culled", "outdated"}) == 0);
    CHECK_FALSE(fs::exists(temp / ".old"));
    CHECK(set_aside(plan, {"failed", "diverged"}) == 2);
    CHECK_FALSE(fs::exists(plan.runs[0].dir));
    CHECK(slurp(temp / ".old/1/standard-s1/STATUS") == "failed\n");
    CHECK(slurp(temp / ".old/1/attnres-s1/STATUS") == "diverged\n");
    CHECK(set_aside(plan, {plan.runs[1].id, plan.runs[3].dir.filename().string()}) == 1);
    CHECK(slurp(temp / ".old/2/standard-s2/STATUS") == "done\n");

    fs::create_directories(plan.runs[1].dir);
    spill(plan.runs[1].dir / "STATUS", "done\n");
    spill(plan.runs[1].dir / "attempts.jsonl", "{\"numerics\":999}\n");
    CHECK(set_aside(plan, {"outdated"}) == 1);
    CHECK(fs::exists(temp / ".old/3/standard-s2"));

    // Made before the masks of dropout changed: outdated where there are masks.
    fs::create_directories(plan.runs[1].dir);
    spill(plan.runs[1].dir / "attempts.jsonl", "{\"numerics\":1}\n");
    CHECK(set_aside(plan, {"outdated"}) == 0);
    plan.runs[1].config.model.dropout = 0.1;
    CHECK(set_aside(plan, {"outdated"}) == 1);
}

TEST_CASE("what cannot be moved aside is said, and nothing is moved", "[sweep]") {
    const TempFolder temp;
    const SweepPlan plan = tiny_plan(temp.path(), 2);
    for (const PlannedRun& run : plan.runs) fs::create_directories(run.dir);
    spill(plan.runs[0].dir / "STATUS", "failed\n");
    CHECK_THROWS_WITH(set_aside(plan, {"failed", "standart-s1"}),
                      contains_text("did you mean 'standard-s1'?"));
    const RunLock held(plan.runs[1].dir);
    CHECK_THROWS_AS(set_aside(plan, {"failed", plan.runs[1].id}), RunBusy);
    CHECK(fs::exists(plan.runs[0].dir));
    CHECK_FALSE(fs::exists(temp / ".old"));
}
