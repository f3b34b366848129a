// Folders of runs where runs are read, and the progress of a long reading.
#include "support/check_message.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("eval and inspect take a folder for the runs that are in it", "[cli]") {
    const TempFolder temp;
    const fs::path runs = temp / "runs";
    for (const char* seed : {"1", "2"})
        REQUIRE(run_plumb(tiny_run(runs / ("s" + std::string(seed)), {"--seed", seed})).code == 0);
    fs::create_directories(runs / "notes");
    const auto eval = [&](std::vector<std::string> typed) {
        typed.insert(typed.begin(), {"eval", "--sequences", "2", "--json"});
        return json_of(typed);
    };
    const auto folder = eval({runs});
    CHECK(folder == eval({runs / "s1", runs / "s2"}));
    CHECK(folder["groups"][0]["n"] == 2);
    CHECK(eval({runs.string() + "@15"})["runs"][1]["run"] == (runs / "s2").string() + "@15");
    check_message(run_plumb({"inspect", runs}), 0, {"s1: step 20", "s2: step 20"});

    // One that cannot be read is named, and is no reason to read none.
    fs::create_directory(runs / "begun");
    fs::copy(runs / "s1/config.toml", runs / "begun/config.toml");
    check_message(run_plumb({"eval", runs, "--sequences", "2"}), 0,
                  {"begun is left out: ", "has no checkpoint yet", "s2"});
    check_message(run_plumb({"inspect", runs}), 0, {"begun is left out: ", "s2: step 20"});
    check_message(run_plumb({"eval", runs / "s1", runs / "begun"}), kInputOutput,
                  {"has no checkpoint yet"});
    fs::remove_all(runs / "s1"), fs::remove_all(runs / "s2");
    check_message(run_plumb({"inspect", runs}), kInputOutput, {"begun"});
    check_message(run_plumb({"eval", runs / "notes"}), kInputOutput, {"is not a run"});
}

TEST_CASE("a long eval says on stderr how far it is, a short one nothing", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"--quiet"})).code == 0);
    CHECK_THAT(run_plumb({"eval", run, "--sequences", "2"}).out, !contains_text("ETA"));
    Outcome o;
    for (int controls = 100; o.seconds < 4 && controls < 1000000; controls *= 4)
        o = run_plumb({"eval", run, run, "--threads", "1", "--mask", "output:1", "--controls",
                       std::to_string(controls)});
    check_message(o, 0, {"%, ETA ", " | run 1 of 2: " + run.string()});
}
