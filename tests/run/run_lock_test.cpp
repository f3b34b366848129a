// One process writes a run: the lock alone, then whole processes started on one folder at once.
#include "run/run_lock.h"

#include "catch.h"
#include "core/check.h"
#include "core/process.h"
#include "support/run_program.h"

#include <memory>
#include <mutex>
#include <thread>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

std::string refusal(const fs::path& run) {
    try {
        const RunLock second(run);
    } catch (const RunBusy& e) {
        return e.what();
    }
    return "";
}

// Starts `n` processes on one folder, each before the last is waited for; signals every third one
// once the run has begun. Exit codes, in the order of starting.
std::vector<int> start_together(const fs::path& run, int n) {
    if (n == 0) return {};
    std::vector<int> codes;
    Launch launch;
    launch.meanwhile = [&](pid_t child) {
        codes = start_together(run, n - 1);
        if (n % 3 == 2) ::kill(child, SIGKILL);
    };
    const Outcome o = run_plumb(tiny_run(run, {"--resume", "auto", "train.steps=300"}), launch);
    INFO(o.out);
    CHECK((o.code == 0 || o.code == 75 || o.code == 128 + SIGKILL));
    if (o.code == 75) CHECK_THAT(o.out, contains_text("is being written by"));
    codes.push_back(o.code);
    return codes;
}

}  // namespace

TEST_CASE("a run has one writer, which the file names", "[lock]") {
    const TempFolder temp;
    const fs::path run = temp / "not/yet/there";
    RunLock::refuse_if_busy(run);
    CHECK_FALSE(fs::exists(temp / "not"));
    {
        RunLock lock(run);
        CHECK_FALSE(lock.previous());
        lock.describe({{"attempt", 3}});
        const std::string text = refusal(run);
        for (const std::string& part :
             {fmt::format("pid {} on {} since 2", ::getpid(), host_name()), std::string("(alive)"),
              run.string(), std::string("Nothing was written"), std::string("--out")})
            CHECK_THAT(text, contains_text(part));
        CHECK_THROWS_AS(RunLock::refuse_if_busy(run), RunBusy);
        const auto owner = nlohmann::json::parse(slurp(run / ".lock"));
        CHECK(owner.at("pid") == ::getpid());
        CHECK(owner.at("attempt") == 3);
        CHECK_NOTHROW(lock.check());
    }
    CHECK(slurp(run / ".lock").empty());
    CHECK_NOTHROW(RunLock::refuse_if_busy(run));
    CHECK(refusal(run) == "");
}

TEST_CASE("an attempt that nobody has recorded outlives holders that began none", "[lock]") {
    const TempFolder temp;
    const std::string dead = R"({"pid":1,"attempt":7})";
    spill(temp / ".lock", dead + "\n");
    {
        const RunLock lock(temp.path());
        CHECK(lock.previous()->at("attempt") == 7);
        const std::string killed_now = slurp(temp / ".lock");
        CHECK(nlohmann::json::parse(killed_now).at("pid") == ::getpid());
        fs::create_directory(temp / "next");
        spill(temp / "next/.lock", killed_now);
    }
    CHECK(slurp(temp / ".lock") == dead + "\n");  // it left without an attempt
    {
        RunLock lock(temp / "next");
        CHECK(lock.previous()->at("attempt") == 7);
        lock.describe({{"attempt", 8}});
    }
    CHECK(slurp(temp / "next/.lock").empty());
}

TEST_CASE("what a killed holder said is found, whatever it is", "[lock]") {
    const TempFolder temp;
    spill(temp / ".lock", R"({"pid": 1, "attempt": 7, "start_ticks": "soon"})");
    const RunLock lock(temp.path());
    REQUIRE(lock.previous());
    CHECK(lock.previous()->at("attempt") == 7);
    for (const char* text : {"", "{\"pid\":", "[1, 2]", R"({"pid": "x", "host": 3})"}) {
        spill(temp / ".lock", text);
        CHECK_THAT(refusal(temp.path()), contains_text("is being written by"));
    }
}

TEST_CASE("a holder whose folder was replaced stops", "[lock]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    const RunLock lock(run);
    fs::rename(run, temp / "moved");
    CHECK_THROWS_AS(lock.check(), IoError);
    const RunLock other(run);
    CHECK_THROWS_WITH(lock.check(), contains_text("removed or replaced"));
    CHECK_NOTHROW(other.check());
}

TEST_CASE("a lease keeps others out while it is touched, and is taken over when it is not",
          "[lock]") {
    using std::chrono::milliseconds;
    const TempFolder temp;
    const fs::path run = temp.path();
    const RunLease::Times times{milliseconds(20), std::chrono::minutes(10)};
    const auto age = [&] {
        return fs::file_time_type::clock::now() - fs::last_write_time(run / ".owner");
    };
    const auto make_old = [&] {
        fs::last_write_time(run / ".owner",
                            fs::file_time_type::clock::now() - std::chrono::hours(1));
    };
    {
        RunLease lease(run, {{"pid", 7}, {"host", "node"}}, times);
        make_old();
        for (int i = 0; i < 6000 && age() > std::chrono::minutes(30); ++i)
            std::this_thread::sleep_for(milliseconds(10));
        CHECK(age() < std::chrono::minutes(30));
        CHECK_THROWS_AS(RunLease(run, {}, times), RunBusy);
        CHECK_THROWS_WITH(RunLock(run), contains_text("pid 7 on node"));
        CHECK_THROWS_AS(RunLock(run, LockKind::lease), RunBusy);
        lease.describe({{"attempt", 2}});
        CHECK_NOTHROW(lease.check());
    }
    CHECK_FALSE(fs::exists(run / ".owner"));

    // Dead: nobody touches it. Of several that find it so, one has it.
    spill(run / ".owner", R"({"token": "abc", "attempt": 5})");
    make_old();
    {
        const RunLease lease(run, {}, times);
        REQUIRE(lease.previous());
        CHECK(lease.previous()->at("attempt") == 5);
    }
    std::vector<std::unique_ptr<RunLease>> holders;
    for (int round = 0; round < 20; ++round) {  // one who looks late must not rob the one who won
        holders.clear();
        spill(run / ".owner", fmt::format(R"({{"token": "abd{}", "attempt": 6}})", round));
        make_old();
        std::mutex mutex;
        int busy = 0;
        std::vector<std::thread> takers;
        for (int i = 0; i < 8; ++i)
            takers.emplace_back([&] {
                try {
                    auto lease = std::make_unique<RunLease>(run, nlohmann::ordered_json{}, times);
                    const std::lock_guard lock(mutex);
                    holders.push_back(std::move(lease));
                } catch (const RunBusy&) {
                    const std::lock_guard lock(mutex);
                    ++busy;
                }
            });
        for (std::thread& t : takers) t.join();
        REQUIRE(holders.size() == 1);
        CHECK(busy == 7);
    }
    CHECK_NOTHROW(holders[0]->check());
    // One that was robbed sees it.
    spill(run / ".owner", R"({"token": "other", "pid": 9, "host": "node"})");
    CHECK_THROWS_WITH(holders[0]->check(), contains_text("pid 9"));
    holders.clear();
    CHECK(fs::exists(run / ".owner"));
    {
        const RunLock lock(temp / "flock");
        CHECK_THROWS_AS(RunLock(temp / "flock", LockKind::lease), RunBusy);
    }
    CHECK(run_plumb(tiny_run(temp / "whole", {"--lock", "lease"})).code == 0);
    CHECK_FALSE(fs::exists(temp / "whole/.owner"));
    CHECK(run_plumb(tiny_run(temp / "other", {"--lock", "none"})).code == 2);
}

TEST_CASE("processes started on one folder at once write every step once", "[lock][run]") {
    const TempFolder temp;
    for (const int n : {2, 5, 8}) {
        const fs::path run = temp / std::to_string(n);
        const std::vector<int> codes = start_together(run, n);
        CHECK(std::count(codes.begin(), codes.end(), 75) > 0);
        // Whoever was killed, the run goes on from where it stands.
        const Outcome last = run_plumb(tiny_run(run, {"--resume", "auto", "train.steps=300"}));
        INFO(last.out);
        REQUIRE(last.code == 0);
        std::istringstream lines(slurp(run / "metrics.jsonl"));
        long expected = 0;
        for (std::string line; std::getline(lines, line); ++expected)
            REQUIRE(nlohmann::json::parse(line).at("step") == expected);
        CHECK(expected == 301);
        CHECK(slurp(run / "STATUS") == "done\n");
    }
}
