// --threads means what it says.
#include "catch.h"
#include "support/run_program.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

// The most threads that the program had at once, until it ended or `done` was there.
long most_threads(const std::vector<std::string>& args, const fs::path& done = {}) {
    long most = 0;
    const Launch watch{.meanwhile = [&](pid_t child) {
        const fs::path tasks = fmt::format("/proc/{}/task", child);
        for (int i = 0; i < 60000 && !fs::exists(done); ++i) {
            std::error_code gone;
            const fs::directory_iterator list(tasks, gone);
            const long now = gone ? 0 : std::distance(begin(list), end(list));
            siginfo_t ended{};
            ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT);
            if (ended.si_pid != 0) break;
            most = std::max(most, now);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }};
    ::setenv("OMP_NUM_THREADS", "4", 1);  // what a library takes that is not told otherwise
    const Outcome o = run_plumb(args, watch);
    ::unsetenv("OMP_NUM_THREADS");
    INFO(o.out);
    CHECK(o.code == 0);
    return most;
}

long most_threads_of_train(const std::string& precision, int threads) {
    const TempFolder temp;
    const fs::path run = temp / "run";
    std::vector<std::string> args = tiny_run(
        run, {"model.width=128", "model.context=64", "train.batch=8", "--precision", precision});
    *(std::find(args.begin(), args.end(), "--threads") + 1) = std::to_string(threads);
    return most_threads(args, run / "summary.json");
}

}  // namespace

TEST_CASE("train computes with as many threads as --threads says, in float and bf16", "[cli]") {
    constexpr int kWaiting = 1;  // for signals
    for (const char* precision : {"fp32", "bf16"})
        for (const int threads : {1, 2}) {
            INFO(precision << ", " << threads << " threads");
            CHECK(most_threads_of_train(precision, threads) == threads + kWaiting);
        }
}

// Its products are timed before a step is, its operations one by one.
TEST_CASE("bench and a dry run compute with as many threads as --threads says", "[cli]") {
    const std::vector<std::vector<std::string>> commands{
        {"bench", "--mixers", "attnres", "--shape", "1x128x64x8", "--rounds", "1", "--steps", "1"},
        {"bench", "--mixers", "attnres", "--shape", "1x64x64x4", "--ops"},
        {"train", "data.task=markov", "model.width=128", "model.layers=1", "--dry-run"}};
    for (const auto& command : commands)
        for (const char* precision : {"fp32", "bf16"})
            for (const int threads : {1, 2}) {
                std::vector<std::string> args = command;
                args.insert(args.end(),
                            {"--precision", precision, "--threads", std::to_string(threads)});
                INFO(fmt::format("{}", fmt::join(args, " ")));
                CHECK(most_threads(args) == threads);
            }
}
