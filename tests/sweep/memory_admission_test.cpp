#include "sweep/memory_admission.h"

#include "catch.h"
#include "core/check.h"
#include "sweep/hand_made_plan.h"

#include <cmath>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

void limit(const fs::path& group, const std::string& name, const std::string& text) {
    fs::create_directories(group);
    spill(group / name, text);
}

}  // namespace

TEST_CASE("runs may plan with 85 % of the least that is free", "[sweep]") {
    CHECK(FreeMemory{1000, 400}.for_runs() == Approx(340));
    CHECK(FreeMemory{100, 400}.for_runs() == Approx(85));
    CHECK(FreeMemory{100, {}}.for_runs() == Approx(85));
    CHECK(std::isinf(FreeMemory{}.for_runs()));
    CHECK(fits(40, 45, 85));
    CHECK_FALSE(fits(41, 45, 85));
    CHECK(available_memory("MemTotal:  9 kB\nMemAvailable:   12 kB\n") == 12 * 1024.0);
    CHECK_FALSE(available_memory("MemTotal: 9 kB\n"));
    CHECK(free_memory().for_runs() > 0);
}

TEST_CASE("the least limit of the control groups around a process counts", "[sweep]") {
    const TempFolder root;
    limit(root / "a", "memory.max", "5000\n");
    limit(root / "a/b", "memory.max", "max\n");
    limit(root / "a/b/c", "memory.max", "9000\n");
    CHECK(control_group_limit("0::/a/b/c\n", root.path()) == 5000.0);
    CHECK(control_group_limit("0::/a\n", root.path()) == 5000.0);
    CHECK_FALSE(control_group_limit("0::/other\n", root.path()));
    limit(root / "memory/x", "memory.limit_in_bytes", "700\n");
    CHECK(control_group_limit("9:cpu,memory:/x/y\n0::/a/b/c\n", root.path()) == 700.0);
    CHECK_FALSE(control_group_limit("9:cpu:/a\n", root.path()));
}

TEST_CASE("a run that can never have its memory stops a sweep before it begins", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.memory = 1000;
    SweepPlan plan = tiny_plan(temp / "sweep", 1);
    plan.runs.back().memory = 1001;
    CHECK_THROWS_WITH(work.run(plan), contains_text("Nothing was started"));
    CHECK_FALSE(fs::exists(temp / "sweep"));
}

TEST_CASE("runs that do not fit beside each other wait for each other", "[sweep]") {
    const TempFolder temp;
    SweepAtWork work;
    work.options.memory = 1000;
    SweepPlan plan = tiny_plan(temp.path(), 2);
    for (PlannedRun& run : plan.runs) run.memory = 600;
    plan.runs.back().memory = 400;
    CHECK(work.run(plan).outcome == SweepOutcome::all_done);
    double planned = 0;
    for (const std::string& event : work.events)
        for (const PlannedRun& run : plan.runs) {
            if (event.find(run.dir.filename()) == std::string::npos) continue;
            planned += event.starts_with("start") ? run.memory : -run.memory;
            CHECK(planned <= 1000);
        }
    CHECK(work.events.size() == 8);
}
