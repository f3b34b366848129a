// A run that is at work, was killed or has diverged is called so by every command that reads it.
#include "run/run_condition.h"
#include "support/check_message.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

// What each reading command says of the run; none may fail.
std::vector<std::string> said_of(const fs::path& run, const fs::path& exports) {
    std::vector<std::string> out;
    for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
             {"inspect", run},
             {"inspect", run, "--csv"},
             {"matrix", run},
             {"eval", run, "--sequences", "2"},
             {"generate", run, "--prompt", "1 2", "--tokens", "2"},
             {"export", run, "--to", "npz", "-o", exports}}) {
        const Outcome o = run_plumb(args);
        INFO(o.out);
        CHECK(o.code == 0);
        out.push_back(o.out);
    }
    fs::remove_all(exports);
    return out;
}

void check_said(const fs::path& run, const fs::path& exports, const std::string& text) {
    for (const std::string& out : said_of(run, exports)) CHECK_THAT(out, contains_text(text));
}

}  // namespace

TEST_CASE("a run is running while it is held, and interrupted once it was killed", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run", exports = temp / "exports";
    const std::string word = "\"status\": \"";
    RunCondition at_work;
    Outcome watched;
    Launch launch;
    launch.meanwhile = [&](pid_t child) {
        signal_when_exists(checkpoint_of(run, 20), 0)(child);
        at_work = run_condition(run);
        watched = run_plumb({"inspect", run, "--json"});
        ::kill(child, SIGKILL);
    };
    REQUIRE(run_plumb(tiny_run(run, {"train.steps=1000000"}), launch).code == 128 + SIGKILL);
    CHECK(at_work.status == "running");
    CHECK(at_work.step >= 20);
    CHECK(at_work.steps == 1000000);
    CHECK_THAT(watched.out, contains_text(word + "running"));
    CHECK(slurp(run / "STATUS") == "running\n");

    const RunCondition dead = run_condition(run);
    CHECK(dead.status == "interrupted");
    CHECK(dead.step >= at_work.step);
    const std::string text = fmt::format(
        "interrupted at step {} of 1000000; go on with: plumb train --out {} --resume auto",
        dead.step, run.string());
    CHECK(unfinished_text(run, dead) == text);
    check_said(run, exports, text);
    CHECK_THAT(run_plumb({"inspect", run, "--json"}).out, contains_text(word + "interrupted"));
}

TEST_CASE("a diverged run is named with its step, a finished one not at all", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run", exports = temp / "exports";
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    CHECK(unfinished_text(run, run_condition(run)) == "");
    for (const std::string& out : said_of(run, exports))
        CHECK_THAT(out, !contains_text("not finished"));
    // Marked by hand: a run that really diverges need not get as far as a probe.
    spill(run / "STATUS", "diverged\n");
    check_said(run, exports, "not finished: diverged at step 20 of 20; from its last checkpoint");
    spill(run / "STATUS", "failed\n");
    check_said(run, exports, "failed at step 20 of 20; go on with: plumb train");
    fs::remove(run / "STATUS");
    check_said(run, exports, "not known to be done (STATUS) at step 20 of 20");
    // Damage is no reason to say nothing, nor to fail.
    spill(run / "metrics.jsonl", "{\n");
    CHECK(run_condition(run).step == 20);
    spill(run / "config.toml", "[train\n");
    CHECK(unfinished_text(run, run_condition(run)) == "not known to be done (STATUS) at step 20");
}
