#include "sweep/run_look.h"

#include "catch.h"
#include "run/run_lock.h"
#include "support/run_files.h"
#include "sweep/run_origin.h"

#include <fcntl.h>
#include <sys/file.h>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("the word for a run follows from its files and its lock", "[sweep]") {
    const TempFolder temp;
    const fs::path dir = temp / "run";
    CHECK(look_at_run(dir).word == RunWord::fresh);
    fs::create_directories(dir);
    spill(dir / "log.txt", "");
    CHECK(look_at_run(dir).word == RunWord::fresh);
    spill(dir / "config.toml", "");
    CHECK(look_at_run(dir).word == RunWord::stopped);
    const std::pair<const char*, RunWord> words[] = {
        {"running\n", RunWord::stopped},   {"interrupted\n", RunWord::interrupted},
        {"failed\n", RunWord::failed},     {"done\n", RunWord::done},
        {"diverged\n", RunWord::diverged}, {"what?\n", RunWord::stopped}};
    for (const auto& [status, word] : words) {
        INFO(status);
        spill(dir / "STATUS", status);
        CHECK(look_at_run(dir).word == word);
        CHECK(is_over(word) == (word == RunWord::done || word == RunWord::diverged));
    }
    spill(dir / "STATUS", "running\n");
    {
        const RunLock lock(dir);
        const RunLook look = look_at_run(dir);
        CHECK(look.word == RunWord::running);
        REQUIRE(look.holder);
        CHECK(look.holder->pid == ::getpid());
        CHECK(is_running(*look.holder) == std::optional(true));
    }
    CHECK(look_at_run(dir).word == RunWord::stopped);
    spill(dir / kCulledName, "its loss\n");
    CHECK(look_at_run(dir).word == RunWord::culled);
    CHECK(is_over(RunWord::culled));
}

TEST_CASE("a run that another machine is at is busy elsewhere", "[sweep]") {
    const TempFolder temp;
    spill(temp / ".lock", R"({"host":"node3","boot_id":"x","pid":7,"start_ticks":8})");
    const int fd = ::open((temp / ".lock").c_str(), O_RDWR);
    REQUIRE(::flock(fd, LOCK_EX) == 0);
    const RunLook look = look_at_run(temp.path());
    CHECK(look.word == RunWord::elsewhere);
    CHECK(look.holder->host == "node3");
    CHECK(is_held(look.word));
    ::close(fd);
}

TEST_CASE("the pace of a run is at the ends of its files", "[sweep]") {
    const TempFolder temp;
    CHECK(pace_of(temp.path()).step == -1);
    spill(temp / "metrics.jsonl",
          "{\"step\":10,\"train/loss\":2.5}\n{\"step\":20,\"val/loss\":1.0}\n{\"step\":30,\"tra");
    spill(temp / "log.txt",
          "step 10/40 | loss 2.5 | 1,000 tok/s | x\nstep 20/40 | loss 2.25 | "
          "4,400 tok/s | 3% of GEMM\nplumb: cannot write x\n");
    const RunPace pace = pace_of(temp.path());
    CHECK(pace.step == 20);
    CHECK(pace.loss == 2.5);
    CHECK(pace.tokens_per_s == 4400);
    CHECK(last_words(temp.path()) == "cannot write x");
    spill(temp / "log.txt", "first\n\nlast\n");
    CHECK(last_words(temp.path()) == "last");
}

TEST_CASE("who made a run is in its last attempt", "[sweep]") {
    const TempFolder temp;
    CHECK(origin_of(temp.path()).numerics == -1);
    CHECK_FALSE(is_outdated(origin_of(temp.path()), 1));
    spill(temp / "attempts.jsonl",
          "{\"commit\":\"old\",\"numerics\":1,\"device\":\"gpu\"}\n"
          "{\"commit\":\"new\",\"numerics\":-7,\"device\":\"cpu\"}\n{\"commit\":\"cut");
    const RunOrigin origin = origin_of(temp.path());
    CHECK(origin.commit == "new");
    CHECK(origin.device == "cpu");
    CHECK(origin.numerics == -7);
    spill(temp / "attempts.jsonl", "{\"numerics\":2}\n");
    CHECK(is_outdated(origin_of(temp.path()), 1));
    CHECK_FALSE(is_outdated(origin_of(temp.path()), 2));
}
