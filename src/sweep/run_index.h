// `plumb sweep run-index`: single runs of a sweep, for other engines (xargs, Slurm, Snakemake).
#pragma once

#include "core/stop.h"
#include "sweep/sweep_plan.h"

#include <functional>
#include <string>
#include <vector>

namespace plumb {

struct RunIndexOptions {
    int threads = 1;
    std::string program = "/proc/self/exe";
    std::function<void(const std::string&)> event;  // one line on what happens
};

// "17" or "17-20". Throws UsageError.
std::pair<long, long> parse_indices(const std::string& text);

// Trains the runs one after the other, on the cores that this process may use; what has ended is
// skipped. A stop is passed on. Returns the exit code: 0 if all have a result (a run that diverged
// or was culled has one), 130 after a stop, else that of the first run that failed (128 + the
// signal that ended it), else 75: another process is at one of them.
int run_indices(const std::vector<PlannedRun>& runs, const std::string& lock,
                const RunIndexOptions& options, const StopFlag& stop);

}  // namespace plumb
