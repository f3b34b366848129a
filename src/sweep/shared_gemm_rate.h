// One measurement of the GEMM rate for each shape of model, not one for each run: what the first
// run of a shape printed is handed to the later ones (PLUMB_GEMM_RATE, run/run.h).
#pragma once

#include "sweep/sweep_plan.h"

#include <filesystem>
#include <map>
#include <string>

namespace plumb {

class SharedGemmRate {
public:
    // For the environment of a run; "" as long as none is known.
    std::string of(const Config& config) const;
    // From what a run has printed after byte `from` of its log.
    void learn(const Config& config, const std::filesystem::path& log, std::uintmax_t from);

private:
    std::map<std::string, std::string> known_;
};

}  // namespace plumb
