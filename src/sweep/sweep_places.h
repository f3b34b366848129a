// The places of a sweep's runs on this machine: cores and GPUs.
#pragma once

#include "sweep/core_slices.h"

#include <string>
#include <vector>

namespace plumb {

struct SweepPlace {
    std::vector<int> cpus;
    std::string gpu;  // CUDA_VISIBLE_DEVICES; "": not set
    bool taken = false;

    std::string text() const;  // "cores 0-3, GPU 1"
};

// jobs 0: as many as there are cores for `threads` each, or with GPUs one for each entry. Throws
// UsageError for more jobs than entries of gpus.
std::vector<SweepPlace> make_places(const std::vector<LogicalCpu>& cpus, int jobs, int threads,
                                    const std::vector<std::string>& gpus);

// "0,1" -> {"0", "1"}; "0,1x2", two runs on each -> {"0", "1", "0", "1"}. Throws UsageError.
std::vector<std::string> parse_gpus(const std::string& text);

}  // namespace plumb
