// --threads means what it says.
#include "catch.h"
#include "support/run_program.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

// The most threads that the program had at once while it trained.
long most_threads(const std::string& precision, int threads) {
    const TempFolder temp;
    const fs::path run = temp / "run";
    long most = 0;
    const Launch watch{.meanwhile = [&](pid_t child) {
        const fs::path tasks = fmt::format("/proc/{}/task", child);
        for (int i = 0; i < 60000 && !fs::exists(run / "summary.json"); ++i) {
            std::error_code gone;
            const fs::directory_iterator list(tasks, gone);
            if (!gone) most = std::max<long>(most, std::distance(begin(list), end(list)));
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }};
    ::setenv("OMP_NUM_THREADS", "4", 1);  // what a library takes that is not told otherwise
    std::vector<std::string> args = tiny_run(
        run, {"model.width=128", "model.context=64", "train.batch=8", "--precision", precision});
    *(std::find(args.begin(), args.end(), "--threads") + 1) = std::to_string(threads);
    const Outcome o = run_plumb(args, watch);
    ::unsetenv("OMP_NUM_THREADS");
    INFO(o.out);
    CHECK(o.code == 0);
    return most;
}

}  // namespace

TEST_CASE("train computes with as many threads as --threads says, in float and bf16", "[cli]") {
    constexpr int kWaiting = 1;  // for signals
    for (const char* precision : {"fp32", "bf16"})
        for (const int threads : {1, 2}) {
            INFO(precision << ", " << threads << " threads");
            CHECK(most_threads(precision, threads) == threads + kWaiting);
        }
}
