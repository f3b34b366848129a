// `plumb train` for one run of a sweep, as a process of its own.
#pragma once

#include "sweep/failure_policy.h"
#include "sweep/sweep_plan.h"

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace plumb {

// The arguments of `plumb` that train this run, or go on with it: settings that are not at their
// default, --resume auto. Any engine that runs this command does what the sweep does.
std::vector<std::string> train_arguments(const PlannedRun& run, const std::string& lock,
                                         int threads);

struct ChildOptions {
    std::vector<std::string> arguments;
    std::filesystem::path log;  // output is appended
    std::vector<int> cpus{};    // that it may run on; empty: those of this process
    std::vector<std::pair<std::string, std::string>> environment{};
    std::string program = "/proc/self/exe";
};

// This very program again, even if its file was replaced meanwhile, in a process group of its own:
// Ctrl-C and the end of this process do not reach it.
class ChildProcess {
public:
    // Throws IoError if the log cannot be written or no process can be made.
    explicit ChildProcess(const ChildOptions& options);
    ChildProcess(ChildProcess&& other) noexcept;
    ChildProcess& operator=(ChildProcess&& other) noexcept;
    ~ChildProcess();  // the process, if it has not ended, goes on

    pid_t pid() const { return pid_; }
    // Readable, or hung up, once the process has ended: for wait_for_end.
    int life_line() const { return life_line_; }
    // How it ended; nothing if it goes on.
    std::optional<RunEnd> ended();
    // Asks for a checkpoint and the end.
    void ask_to_stop() const;

private:
    pid_t pid_ = -1;
    int life_line_ = -1;
};

// Returns when one of the processes with these life lines has ended, or the time is over.
void wait_for_end(const std::vector<int>& life_lines, std::chrono::milliseconds most);

}  // namespace plumb
