// How a run of a sweep ended, from its files alone.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

struct EndedRun {
    bool completed = false;        // done; false: diverged or culled
    std::optional<double> metric;  // of summary.json; nothing unless completed and finite
};

// Nothing while the run has not ended: not begun, at work, stopped or failed.
std::optional<EndedRun> ended_run(const std::filesystem::path& run, const std::string& metric);

}  // namespace plumb
