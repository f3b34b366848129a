#include "sweep/sweep_status.h"

#include "catch.h"
#include "core/check.h"
#include "run/run_lock.h"
#include "support/run_files.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

void plan_line(const fs::path& sweep, long index, const std::string& variant,
               const nlohmann::json& settings) {
    std::ofstream(sweep / "plan.jsonl", std::ios::app)
        << nlohmann::json{{"index", index},      {"id", fmt::format("id{}", index)},
                          {"variant", variant},  {"stage", "main"},
                          {"point", {{"k", 1}}}, {"seed", index + 1},
                          {"steps", 100},        {"flops_per_token", 1e3},
                          {"tokens", 1e4},       {"dir", fmt::format("{}-s{}", variant, index)},
                          {"settings", settings}}
               .dump()
        << "\n";
}

void begin(const fs::path& run, const std::string& status, int numerics) {
    fs::create_directories(run);
    spill(run / "STATUS", status + "\n");
    spill(run / "attempts.jsonl",
          fmt::format("{{\"commit\":\"abcdef0123\",\"device\":\"cpu\",\"numerics\":{}}}\n",
                      numerics));
}

}  // namespace

TEST_CASE("the status of a sweep is in its folder", "[sweep]") {
    const TempFolder temp;
    CHECK_THROWS_WITH(read_status(temp.path()), contains_text("plumb sweep run FILE"));
    for (long i = 0; i < 7; ++i)
        plan_line(temp.path(), i, i < 4 ? "standard" : "attnres",
                  {{i == 2 ? "model.dropout" : "train.lr", 0.1}});
    spill(temp / "sweep.json",
          R"({"name":"q","metric":"final_val_loss","current":["id0","id1","id2","id3","id4","id5"],
              "pending":[{"variant":"attnres","group":{"model.layers":12},"runs":5,"tune_runs":20,
              "tune_ended":3}]})");
    begin(temp / "standard-s0", "done", 1);
    spill(temp / "standard-s0/summary.json", R"({"final_val_loss":1.25})");
    begin(temp / "standard-s1", "failed", 1);
    spill(temp / "standard-s1/log.txt", "plumb: no space\n");
    begin(temp / "standard-s2", "running", 1);
    begin(temp / "standard-s3", "running", 1);
    spill(temp / "standard-s3/metrics.jsonl", "{\"step\":50}\n");
    spill(temp / "standard-s3/log.txt", "step 50/100 | 1,000 tok/s\n");
    begin(temp / "attnres-s4", "diverged", 999);
    const RunLock held(temp / "standard-s3");

    const SweepStatus status = read_status(temp.path());
    const RunWord words[] = {RunWord::done,    RunWord::failed,   RunWord::stopped,
                             RunWord::running, RunWord::diverged, RunWord::fresh};
    REQUIRE(status.runs.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) CHECK(status.runs[i].word == words[i]);
    CHECK(status.orphans == 1);
    CHECK(status.runs[4].outdated);
    CHECK(status.runs[2].outdated);  // of numerics 1, as run 0, but it draws masks
    CHECK_FALSE(status.runs[0].outdated);
    REQUIRE(status.pending.size() == 1);
    CHECK(status.pending[0].group == "attnres, layers 12");

    const SweepSnapshot s = snapshot_of(status);
    CHECK(s.counts.done == 1);
    CHECK(s.counts.queued == 2);
    CHECK(s.best == "1.2500 standard s1");
    CHECK(s.fraction == Approx(2.5 / 6));
    CHECK(s.eta_s == Approx(3.5 * 1e7 / 1e6));
    REQUIRE(s.failed.size() == 1);
    CHECK(s.failed[0].why == "no space");
    REQUIRE(s.running.size() == 1);
    CHECK(s.running[0].step == 50);

    const auto json = to_json(status);
    CHECK(json.at("counts").at("stopped") == 1);
    CHECK(json.at("counts").at("new") == 1);
    CHECK(json.at("commits").at("abcdef0123") == 5);
    CHECK(json.at("runs").at(1).at("why") == "no space");

    CHECK_THAT(run_plumb({"sweep", "status", temp.path(), "--failed"}).out,
               contains_text("failed standard-s1: no space"));
    const Outcome o = run_plumb({"sweep", "status", temp.path()});
    for (const char* text : {"pending: 5 runs of attnres, layers 12", "3 of 20", "orphans: 1",
                             "outdated: 2", "--rerun outdated", "abcdef0 (5 runs)", "stopped"})
        CHECK_THAT(o.out, contains_text(text));
}
