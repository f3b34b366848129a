// Folders of one sweep from two machines.
#include "sweep/merge.h"
#include "catch.h"
#include "core/check.h"
#include "support/check_message.h"
#include "sweep/made_sweep.h"
#include "sweep/plan_file.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// The folder of a sweep with two variants and these seeds.
SweepPlan machine(const MadeSweep& sweep, const std::string& name, const std::string& seeds) {
    sweep.write("seeds = \"" + seeds + "\"\n" + kTwoVariants);
    SweepOptions options;
    options.out = sweep.temp / name;
    return write_plan(read_sweep_file(sweep.path, options));
}

}  // namespace

TEST_CASE("merging takes what is new and what came further", "[sweep]") {
    const MadeSweep sweep("");
    const SweepPlan a = machine(sweep, "a", "1..2"), b = machine(sweep, "b", "2..3");
    pretend_done(a.runs[0], 1.5);  // standard s1, here alone
    make_folder(a.runs[1].dir);    // standard s2, begun here, done there
    spill(a.runs[1].dir / "config.toml", "");
    pretend_done(b.runs[0], 1.25);
    pretend_done(b.runs[1], 1.75);  // standard s3, there alone
    pretend_done(a.runs[3], 1.0);   // block s2, done in both
    pretend_done(b.runs[2], 1.0);
    const MergeReport r = merge_sweeps(sweep.temp / "a", sweep.temp / "b");
    CHECK(r.taken == 1);
    CHECK(r.replaced == 1);
    CHECK(r.equal == 1);
    CHECK(r.differ.empty());
    CHECK(slurp(a.runs[1].dir / "summary.json") == slurp(b.runs[0].dir / "summary.json"));
    CHECK(std::filesystem::exists(sweep.temp / "a/.merged"));
    CHECK(read_plan_file(sweep.temp / "a").size() == 6);
    const SweepPlan merged = machine(sweep, "a", "1..3");
    for (const PlannedRun& run : merged.runs) CHECK(run.index >= 0);
    CHECK(merge_sweeps(sweep.temp / "a", sweep.temp / "b").taken == 0);  // again: nothing new
}

TEST_CASE("one run with two results is told", "[sweep]") {
    const MadeSweep sweep("");
    const SweepPlan a = machine(sweep, "a", "1"), b = machine(sweep, "b", "1");
    pretend_done(a.runs[0], 1.4412);
    pretend_done(b.runs[0], 1.4413);
    const MergeReport r = merge_sweeps(sweep.temp / "a", sweep.temp / "b");
    REQUIRE(r.differ.size() == 1);
    CHECK_THAT(r.differ.front(), contains_text("1.4412 in "));
    CHECK_THAT(r.differ.front(), contains_text("1.4413 in "));
}

TEST_CASE("another sweep is not merged", "[sweep]") {
    const MadeSweep sweep("");
    machine(sweep, "a", "1");
    pretend_done(machine(sweep, "b", "2").runs[0], 1);
    CHECK_THROWS_AS(merge_sweeps(sweep.temp / "a", sweep.temp / "b"), UsageError);
    CHECK(read_plan_file(sweep.temp / "a").size() == 2);
}

TEST_CASE("only folders of sweeps are merged, and not with themselves", "[sweep]") {
    const MadeSweep sweep("");
    machine(sweep, "a", "1");
    CHECK_THROWS_AS(merge_sweeps(sweep.temp / "a", sweep.temp.path()), UsageError);
    CHECK_THROWS_AS(merge_sweeps(sweep.temp / "a", sweep.temp / "a/../a"), UsageError);
}
