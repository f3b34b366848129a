// How a sweep stands, from the files in its folder alone: from any machine, while it runs, and for
// ten thousand runs in less than two seconds.
#pragma once

#include "sweep/run_look.h"
#include "sweep/run_origin.h"
#include "sweep/sweep_snapshot.h"

#include <nlohmann/json.hpp>

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace plumb {

struct StatusRun {
    long index = 0;
    std::string id, variant, stage, dir;
    long seed = 0, steps = 0;
    double flops_per_token = 0, tokens = 0;
    RunWord word = RunWord::fresh;
    std::optional<ProcessId> holder{};  // if it is held
    RunOrigin origin{};                 // of a run that has begun
    bool outdated = false;              // run_origin.h
};

struct StatusPending {  // runs whose settings await the first stage
    std::string group;  // "block4 layers 12"
    long runs = 0, tune_runs = 0, tune_ended = 0;
};

struct SweepStatus {
    std::filesystem::path folder;
    std::string name, hypothesis, metric;
    std::vector<StatusRun> runs;  // that the sweep file stands for
    std::vector<StatusPending> pending;
    long orphans = 0;  // planned once, and not in the file any more
};

// Throws UsageError if the folder holds no sweep, IoError for damaged files.
SweepStatus read_status(const std::filesystem::path& folder);

// For the board. Reads more of the runs that go on or have failed, and the results of all.
SweepSnapshot snapshot_of(const SweepStatus& status);

nlohmann::ordered_json to_json(const SweepStatus& status);

}  // namespace plumb
