#include "sweep/core_slices.h"

#include "catch.h"
#include "core/check.h"
#include "sweep/sweep_places.h"

#include <sched.h>

#include <map>
#include <set>

using namespace plumb;
using Slices = std::vector<std::vector<int>>;

namespace {

// Physical core c has the CPUs c and c + cores, as most machines with two threads a core count.
std::vector<LogicalCpu> two_threads_a_core(int cores) {
    std::vector<LogicalCpu> cpus;
    for (int i = 0; i < 2 * cores; ++i) cpus.push_back({i, i % cores});
    return cpus;
}

}  // namespace

TEST_CASE("cores are cut whole as long as there are enough", "[sweep]") {
    const std::vector<LogicalCpu> cpus = two_threads_a_core(4);
    CHECK(core_slices(cpus, 1) == Slices{{0, 1, 2, 3, 4, 5, 6, 7}});
    CHECK(core_slices(cpus, 2) == Slices{{0, 1, 4, 5}, {2, 3, 6, 7}});
    CHECK(core_slices(cpus, 3) == Slices{{0, 4}, {1, 5}, {2, 3, 6, 7}});
    CHECK(core_slices(cpus, 4) == Slices{{0, 4}, {1, 5}, {2, 6}, {3, 7}});
    CHECK(core_slices(cpus, 8) == Slices{{0}, {4}, {1}, {5}, {2}, {6}, {3}, {7}});
    for (int n = 1; n <= 8; ++n) {
        std::set<int> seen;
        for (const auto& slice : core_slices(cpus, n)) {
            CHECK_FALSE(slice.empty());
            for (const int cpu : slice) CHECK(seen.insert(cpu).second);  // nobody shares
        }
    }
}

TEST_CASE("more runs than cores share them evenly", "[sweep]") {
    std::map<std::vector<int>, int> runs;
    for (const auto& slice : core_slices(two_threads_a_core(2), 10)) ++runs[slice];
    CHECK(runs.size() == 4);
    for (const auto& [slice, n] : runs) CHECK((n == 2 || n == 3));
}

TEST_CASE("a set of cores that is not whole is cut as it is", "[sweep]") {
    // 2 and 6 are one core, of 3 its other thread is not ours.
    const std::vector<LogicalCpu> cpus{{2, 2}, {3, 3}, {6, 2}};
    CHECK(core_slices(cpus, 2) == Slices{{2, 6}, {3}});
    CHECK(core_slices(cpus, 3) == Slices{{2}, {6}, {3}});
}

TEST_CASE("lists of cores are as the system writes them", "[sweep]") {
    CHECK(cpu_list({0, 1, 2, 3, 8}) == "0-3,8");
    CHECK(cpu_list({5, 3, 4, 9, 10}) == "3-5,9-10");
    CHECK(cpu_list({7}) == "7");
    CHECK(parse_cpu_list("0-3,8") == std::vector<int>{0, 1, 2, 3, 8});
    CHECK(parse_cpu_list("x").empty());
    cpu_set_t set;
    REQUIRE(::sched_getaffinity(0, sizeof set, &set) == 0);
    CHECK(std::ssize(allowed_cpus()) == CPU_COUNT(&set));
    for (const LogicalCpu& cpu : allowed_cpus())
        CHECK(CPU_ISSET(static_cast<std::size_t>(cpu.id), &set));
}

TEST_CASE("places of runs are cores, and GPUs in turn", "[sweep]") {
    const std::vector<LogicalCpu> cpus = two_threads_a_core(4);
    CHECK(make_places(cpus, 0, 1, {}).size() == 8);
    CHECK(make_places(cpus, 0, 4, {}).size() == 2);
    CHECK(make_places(cpus, 0, 64, {}).size() == 1);
    CHECK(make_places(cpus, 3, 1, {})[2].text() == "cores 2-3,6-7");
    const auto places = make_places(cpus, 0, 1, parse_gpus("0,2x2"));
    REQUIRE(places.size() == 4);
    CHECK(places[0].gpu == "0");
    CHECK(places[1].gpu == "2");
    CHECK(places[2].gpu == "0");
    CHECK(places[3].text() == "cores 3,7, GPU 2");
    CHECK_THROWS_AS(make_places(cpus, 5, 1, parse_gpus("0,2x2")), UsageError);
    for (const char* bad : {"x", "0,", "a", "0x0", "0x", ",1", "0,1x2y", "-1"})
        CHECK_THROWS_AS(parse_gpus(bad), UsageError);
}
