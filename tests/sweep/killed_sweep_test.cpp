// Sweeps that are killed, stopped, shared between processes and taken over: the results are those
// of one that nobody touched. scripts/sweep_engines_test does the same at random moments.
#include "catch.h"
#include "sweep/run_look.h"
#include "sweep/sweep_folder.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

constexpr long kSteps = 1200;

std::vector<std::string> sweep_run(const fs::path& file, const std::string& jobs = "2") {
    return {"sweep", "run", file, "-j", jobs, "--wait", "0.05"};
}

// The first process that holds a run; 0: none came up within a minute.
long some_worker(const fs::path& sweep) {
    for (int i = 0; i < 12000; ++i) {
        if (fs::exists(sweep))
            for (const fs::path& run : run_folders(sweep))
                if (const RunLook look = look_at_run(run); look.word == RunWord::running &&
                                                           look.holder->pid > 0 &&
                                                           pace_of(run).step > 100)
                    return look.holder->pid;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return 0;
}

fs::path undisturbed(const TempFolder& temp, long seeds, long steps) {
    fs::create_directories(temp / "whole");
    const Outcome o = run_plumb(sweep_run(write_sweep(temp / "whole", seeds, steps)));
    INFO(o.out);
    CHECK(o.code == 0);
    return temp / "whole/out";
}

}  // namespace

TEST_CASE("a sweep whose workers and parent are killed ends in the same bytes", "[sweep]") {
    const TempFolder temp;
    const fs::path whole = undisturbed(temp, 2, kSteps);
    fs::create_directories(temp / "killed");
    const fs::path file = write_sweep(temp / "killed", 2, kSteps), out = temp / "killed/out";
    Launch launch;
    launch.meanwhile = [&](pid_t parent) {
        const long worker = some_worker(out);
        CHECK(worker > 0);
        ::kill(static_cast<pid_t>(worker), SIGKILL);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        CHECK(some_worker(out) > 0);
        ::kill(parent, SIGKILL);
    };
    CHECK(run_plumb(sweep_run(file), launch).code == 128 + SIGKILL);
    const Outcome o = run_plumb(sweep_run(file, "1"));
    INFO(o.out);
    CHECK(o.code == 0);
    CHECK_THAT(o.out, contains_text("going on   "));  // children of the killed one
    CHECK(results_of(out, kSteps) == results_of(whole, kSteps));
    CHECK(results_of(out, kSteps).size() > 40);
    long killed = 0, attempts = 0;
    for (const fs::path& run : run_folders(out)) {
        CHECK(every_step_once(run));
        for (const auto& attempt : lines_of(run / "attempts.jsonl")) {
            ++attempts;
            killed += attempt.at("exit").is_null() ? 1 : 0;
        }
    }
    CHECK(killed == 1);
    CHECK(attempts == 5);
}

TEST_CASE("a sweep that is stopped writes checkpoints and says how to go on", "[sweep]") {
    const TempFolder temp;
    const fs::path whole = undisturbed(temp, 2, kSteps);
    fs::create_directories(temp / "stopped");
    const fs::path file = write_sweep(temp / "stopped", 2, kSteps), out = temp / "stopped/out";
    for (const int signal : {SIGINT, SIGTERM}) {
        Launch launch;
        launch.meanwhile = [&](pid_t parent) {
            CHECK(some_worker(out) > 0);
            ::kill(parent, signal);
        };
        const Outcome o = run_plumb(sweep_run(file), launch);
        INFO(o.out);
        CHECK(o.code == 130);
        CHECK_THAT(o.out, contains_text("go on with: plumb sweep run " + file.string() + " -j 2"));
        for (const fs::path& run : run_folders(out)) CHECK_FALSE(is_held(look_at_run(run).word));
    }
    CHECK(run_plumb(sweep_run(file)).code == 0);
    CHECK(results_of(out, kSteps) == results_of(whole, kSteps));
}

TEST_CASE("eight processes share a sweep, and no run is trained twice", "[sweep]") {
    const TempFolder temp;
    fs::create_directories(temp / "shared");
    const fs::path file = write_sweep(temp / "shared", 6, 40), out = temp / "shared/out";
    std::vector<Outcome> outcomes(8);
    {
        std::vector<std::jthread> workers;
        for (Outcome& o : outcomes)
            workers.emplace_back([&o, &file] { o = run_plumb(sweep_run(file, "1")); });
    }
    for (const Outcome& o : outcomes) {
        INFO(o.out);
        CHECK(o.code == 0);
        CHECK_THAT(o.out, contains_text("12/12 done"));
        CHECK(o.out.find("failed  ") == std::string::npos);  // who comes second has not failed
    }
    CHECK(run_folders(out).size() == 12);
    for (const fs::path& run : run_folders(out)) {
        CHECK(lines_of(run / "attempts.jsonl").size() == 1);
        CHECK(every_step_once(run));
    }
}

TEST_CASE("what other engines run is what the sweep runs", "[sweep]") {
    const TempFolder temp;
    const fs::path whole = undisturbed(temp, 1, kSteps);
    fs::create_directories(temp / "engine");
    const fs::path file = write_sweep(temp / "engine", 1, kSteps), out = temp / "engine/out";
    CHECK(run_plumb({"sweep", "run-index", file, "0"}).code == 0);
    CHECK(run_plumb({"sweep", "run-index", file, "0-1"}).code == 0);
    CHECK(results_of(out, kSteps) == results_of(whole, kSteps));
    for (const fs::path& run : run_folders(out))
        CHECK(lines_of(run / "attempts.jsonl").size() == 1);
    const Outcome o = run_plumb({"sweep", "run-index", file, "2"});
    CHECK(o.code == 2);
    const nlohmann::json status = json_of({"sweep", "status", file, "--json"});
    CHECK(status.at("counts").at("done") == 2);
    CHECK(status.at("runs").size() == 2);
    CHECK(json_of({"sweep", "status", out, "--json"}).at("counts").at("done") == 2);
}
