// What every command refuses, where its output goes, and what it says of itself.
#include "support/check_message.h"
#include "support/environment.h"

#include <sys/stat.h>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("extents that no machine can hold are refused at once, with the bound", "[cli]") {
    const TempFolder temp;
    for (const char* setting :
         {"model.mlp_hidden=4611686018427387904", "model.head_dim=4611686018427387904",
          "model.width=4611686018427387904", "model.layers=4611686018427387904",
          "train.batch=4611686018427387904", "model.context=4611686018427387904",
          "model.layers=1e9", "model.heads=1e12", "model.kv_heads=1e12", "train.accumulate=1e12",
          "train.steps=1e15", "train.eval_every=1e15"}) {
        const std::string out = temp / "run";
        for (const char* dry : {"--dry-run", "--quiet"}) {
            const Outcome o = run_plumb({"train", "data.task=copy", setting, dry, "--out", out});
            const std::string key = std::string(setting).substr(0, std::string(setting).find('='));
            check_message(o, kUsage, {key, "is out of range; it must be"});
            CHECK(o.seconds < 5);
        }
        CHECK_FALSE(fs::exists(out));
    }
    // Each within its bound, but not all together.
    check_message(run_plumb({"train", "data.task=copy", "model.width=1048576", "model.heads=1024",
                             "model.mlp_hidden=1048576", "model.layers=10000", "--dry-run"}),
                  kUsage, {"too large", "it needs", "the most is", "model.width"});
    check_message(run_plumb({"train", "data.task=copy", "train.steps=1e12", "train.batch=1048576",
                             "train.accumulate=1e6", "model.context=1e6", "--dry-run"}),
                  kUsage, {"train.steps=1000000000000", "tokens; the most is"});
}

TEST_CASE("a model larger than the machine is planned but not begun", "[cli]") {
    const TempFolder temp;
    std::vector<std::string> args{
        "train",          "data.task=copy", "model.layers=100", "model.width=65536",
        "model.heads=64", "--dry-run"};
    check_message(run_plumb(args), 0, {"memory_bytes: ", "estimate: none; this machine has"});
    args.back() = "--out";
    args.push_back(temp / "run");
    const Outcome o = run_plumb(args);
    check_message(o, kUsage, {"of memory and the machine has", "train.batch"});
    CHECK_FALSE(fs::exists(temp.path() / "run" / "config.toml"));
}

TEST_CASE("a name that is not UTF-8 is refused before anything is written", "[cli]") {
    const TempFolder temp;
    const std::string bad = (temp / "run").string() + "\xff";
    check_message(run_plumb(tiny_run(bad)), kUsage,
                  {"run\\xff' is not UTF-8", "Nothing was written"});
    check_message(run_plumb({"train", "data.path=d\xe9", "--out", temp / "run"}), kUsage,
                  {"data.path=d\\xe9"});
    check_message(run_plumb({"data", "prepare", "d\xe9", "--out", temp / "data"}), kUsage,
                  {"d\\xe9"});
    spill(temp / "a.toml", "[data]\npath = \"d\xe9\"\n");
    check_message(run_plumb(tiny_run(temp / "run", {"-c", temp / "a.toml"})), kUsage,
                  {"a.toml:2", "not UTF-8"});
    fs::remove(temp / "a.toml");
    CHECK(fs::is_empty(temp.path()));
}

TEST_CASE("a settings file that is a pipe, a device or a folder is refused at once", "[cli]") {
    const TempFolder temp;
    REQUIRE(::mkfifo((temp / "pipe").c_str(), 0600) == 0);
    for (const std::string& file : {(temp / "pipe").string(), std::string("/dev/zero")}) {
        const Outcome o = run_plumb(tiny_run(temp / "run", {"-c", file}));
        check_message(o, kInputOutput, {file, "pipe or a device"});
        CHECK(o.seconds < 5);
    }
    check_message(run_plumb(tiny_run(temp / "run", {"-c", temp.path()})), kInputOutput,
                  {"Is a directory"});
}

TEST_CASE("a name of 300 letters is an error with the name and the reason", "[cli]") {
    const TempFolder temp;
    const std::string longest = temp / std::string(300, 'a');
    for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
             tiny_run(longest),
             {"inspect", longest},
             {"matrix", longest},
             {"generate", longest},
             {"train", "data.path=" + longest, "--out", temp / "run"},
             {"data", "prepare", longest, "--out", temp / "data"},
             {"train", "-c", longest, "--out", temp / "run"}}) {
        const Outcome o = run_plumb(args);
        check_message(o, kInputOutput, {std::string(300, 'a'), "too long"});
        CHECK(o.out.find("filesystem error") == std::string::npos);
    }
}

TEST_CASE("output that does not arrive is exit code 4, for every command", "[cli]") {
    const TempFolder temp;
    REQUIRE(run_plumb(tiny_run(temp / "run")).code == 0);
    Launch full;
    full.stdout_to = "/dev/full";
    const std::string run = temp / "run";
    for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
             {"--version"},
             {"--help"},
             {"train", "--help"},
             {"list", "mixers"},
             {"help"},
             {"help", "lr"},
             {"completion", "bash"},
             {"inspect", run},
             {"inspect", run, "--json"},
             {"matrix", run},
             {"generate", run, "--prompt", "1 2", "--tokens", "4"},
             {"check", "standard"},
             {"doctor", "--json"},
             {"train", "data.task=copy", "--dry-run"}}) {
        const Outcome o = run_plumb(args, full);
        INFO(fmt::format("{}", fmt::join(args, " ")));
        check_message(o, kInputOutput, {"standard output", "No space left"});
    }
    // Training ends as after Ctrl-C.
    check_message(run_plumb(tiny_run(temp / "other"), full), kInputOutput,
                  {"cannot write the output: No space left"});
}

TEST_CASE("threads come from OpenMP's variable and are said", "[cli]") {
    const TempFolder temp;
    const Environment omp("OMP_NUM_THREADS", "1");
    std::vector<std::string> args = tiny_run(temp / "run", {"train.steps=1"});
    const auto at = std::find(args.begin(), args.end(), "--threads");
    args.erase(at, at + 2);
    const Outcome o = run_plumb(args);
    check_message(o, 0, {"threads                  1 (OMP_NUM_THREADS)"});
}

TEST_CASE("a label is the run's own, and comes back spelled out", "[cli]") {
    const TempFolder temp;
    const Outcome o =
        run_plumb(tiny_run(temp / "run", {"train.steps=1", "--label", "mine \x1b[2J"}));
    check_message(o, 0, {"label: mine \\x1b[2J"});
    CHECK(o.out.find('\x1b') == std::string::npos);
    const auto summary = nlohmann::json::parse(slurp(temp.path() / "run" / "summary.json"));
    CHECK(summary["label"] == "mine \x1b[2J");
    CHECK_THAT(slurp(temp.path() / "run" / "config.toml"), contains_text("label = "));
}

TEST_CASE("a dry run says what every setting is, where it comes from and what it means", "[cli]") {
    const TempFolder temp;
    spill(temp / "a.toml", "[model]\nlayers = 2\n");
    const Outcome o = run_plumb({"train", "data.task=copy", "-c", temp / "a.toml", "--dry-run"});
    check_message(o, 0,
                  {"model.layers = 2  (" + (temp / "a.toml").string() + ":2)",
                   "    number of transformer blocks", "data.task = \"copy\"  (command line)",
                   "train.lr = 0.001  (default)", "attention", "MLP", "embed", "norms",
                   "flops_per_token: ", "memory_bytes: ", "estimate: "});
}
