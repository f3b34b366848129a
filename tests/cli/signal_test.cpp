// timeout(1) and batch systems signal a process and then its group: two signals that ask once.
#include "catch.h"
#include "support/run_program.h"

#include <csignal>

using namespace plumb;
using namespace plumb::test;
namespace fs = std::filesystem;

TEST_CASE("a signal that comes twice at once still leaves a checkpoint", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    Launch launch;
    launch.meanwhile = [&](pid_t child) {
        for (int i = 0; i < 2000 && !fs::exists(run / "matrix/step_00000000.safetensors"); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        ::kill(child, SIGTERM);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // so that the two are not one
        ::kill(child, SIGTERM);
    };
    const Outcome o = run_plumb(
        {"train", "data.task=markov", "data.task_vocab=8", "model.layers=2", "model.width=32",
         "model.heads=2", "model.context=64", "train.batch=8", "train.accumulate=50",
         "train.steps=100000", "train.eval_sequences=2", "--threads", "1", "--out", run},
        launch);
    INFO(o.out);
    CHECK(o.code == 130);
    CHECK(slurp(run / "STATUS") == "interrupted\n");
    CHECK(fs::exists(run / "checkpoints"));
}
