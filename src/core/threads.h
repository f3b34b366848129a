// How many threads to compute with when nobody says --threads.
#pragma once

#include <string>

namespace plumb {

struct ThreadCount {
    int n = 1;
    std::string from;  // "all cores", "OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "--threads"
};

// `asked` if positive (--threads); else OMP_NUM_THREADS (its first number), else
// SLURM_CPUS_PER_TASK, else the cores this process may run on. A variable that holds no number from
// 1 to 1024 is passed over.
ThreadCount choose_threads(int asked);

}  // namespace plumb
