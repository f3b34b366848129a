// A Slurm script for the runs of a sweep, as text: whoever submits it sees what it does.
#pragma once

#include "sweep/sweep_plan.h"

#include <string>

namespace plumb {

struct SbatchOptions {
    long chunk = 1;         // runs of a job, one after the other
    long max_array = 1000;  // jobs of an array (MaxArraySize of most clusters is 1001)
    std::string time = "01:00:00", partition;
    int threads = 1;
    std::string plumb, file;  // words of the command, quoted
};

// An array over chunks of the runs that have not ended, requeued when its time is over: TERM or
// USR1 makes a run write its checkpoint and exit with 130, and the job goes back to the queue,
// unless somebody cancelled it. Output is appended to files in the folder of the sweep. Throws
// UsageError if nothing is left to run, or a job's time is none or too short to write a checkpoint
// at its end.
std::string sbatch_script(const SweepPlan& plan, const SbatchOptions& options);

// Seconds of a limit as Slurm writes it: 90 (minutes), 90:00, 01:30:00, 1-12 (hours), 1-12:30:00.
// Throws UsageError.
long slurm_seconds(const std::string& text);

// "3" or "3-7": runs of consecutive indices, at most `chunk` of them.
std::vector<std::string> index_chunks(const std::vector<long>& indices, long chunk);

}  // namespace plumb
