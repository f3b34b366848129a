// A sweep of tiny runs, trained by the program that was built.
#include "catch.h"
#include "run/run.h"
#include "support/environment.h"
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

TEST_CASE("the rate of matrix products is measured once for a shape", "[sweep]") {
    const TempFolder temp;
    const auto rate_in = [](const fs::path& log) {
        const std::string text = slurp(log);
        const std::size_t at = text.find("GEMM rate");
        return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
    };
    {
        const Environment known(kGemmRateVariable, "123456e9");
        CHECK_THAT(run_plumb(tiny_run(temp / "a")).out, contains_text("123456 GFLOP/s"));
    }
    int n = 0;
    for (const char* wrong : {"", "x", "0", "-1", "nan", "12 "}) {
        const Environment variable(kGemmRateVariable, wrong);
        const std::string out = run_plumb(tiny_run(temp / fmt::format("b{}", ++n))).out;
        CHECK_THAT(out, contains_text("GFLOP/s"));
        CHECK(out.find(" 0 GFLOP/s") == std::string::npos);
    }
    SweepAtWork work;
    work.options.jobs = 1;
    work.run(tiny_plan(temp / "sweep", 2));
    const std::string first = rate_in(temp / "sweep/standard-s1/log.txt");
    CHECK_THAT(first, contains_text("GFLOP/s"));
    for (const char* other : {"standard-s2", "attnres-s1", "attnres-s2"})
        CHECK(rate_in(temp.path() / "sweep" / other / "log.txt") == first);
}
