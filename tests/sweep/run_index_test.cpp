#include "sweep/run_index.h"

#include "catch.h"
#include "core/check.h"
#include "run/run_lock.h"
#include "sweep/fake_program.h"

#include <thread>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("an index is a number, or two", "[sweep]") {
    CHECK(parse_indices("17") == std::pair(17L, 17L));
    CHECK(parse_indices("3-5") == std::pair(3L, 5L));
    for (const char* bad : {"", "x", "-1", "3-", "5-3", "1,2", "3-5x"})
        CHECK_THROWS_AS(parse_indices(bad), UsageError);
}

TEST_CASE("the exit code of single runs is for an engine to go by", "[sweep]") {
    const TempFolder temp;
    std::vector<PlannedRun> runs = tiny_plan(temp / "sweep", 1).runs;
    const StopFlag go_on{false};
    RunIndexOptions options;
    const auto code = [&](const std::string& body) {
        options.program = fake_program(temp / "fake", body);
        return run_indices(runs, "flock", options, go_on);
    };
    CHECK(code("exit 4\n") == 4);
    CHECK(code("exit 70\n") == 70);
    CHECK(code("kill -9 $$\n") == 137);
    CHECK(code("exit 75\n") == 75);
    CHECK(code("case $dir in *standard*) exit 75;; *) exit 4;; esac\n") == 4);
    CHECK(code("exit 3\n") == 0);
    CHECK(code("exit 0\n") == 0);
    const long before = calls_of(runs[0]);
    {
        const RunLock held(runs[1].dir);
        spill(runs[0].dir / "STATUS", "done\n");
        CHECK(code("exit 4\n") == 75);
        CHECK(calls_of(runs[0]) == before);
    }
    spill(runs[1].dir / "CULLED", "its loss\n");
    CHECK(code("exit 4\n") == 0);
}

TEST_CASE("a stop is passed on to the run", "[sweep]") {
    const TempFolder temp;
    const std::vector<PlannedRun> runs = tiny_plan(temp / "sweep", 1).runs;
    StopFlag stop{false};
    RunIndexOptions options;
    options.program =
        fake_program(temp / "fake",
                     "trap 'echo stopped >$dir/STATUS; exit 130' TERM\ntouch $dir/ready\n"
                     "i=0; while [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done\n");
    std::thread stopper([&] {
        for (int i = 0; i < 2000 && !std::filesystem::exists(runs[0].dir / "ready"); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        stop = true;
    });
    CHECK(run_indices(runs, "flock", options, stop) == 130);
    stopper.join();
    CHECK(slurp(runs[0].dir / "STATUS") == "stopped\n");
    CHECK_FALSE(std::filesystem::exists(runs[1].dir));
}
