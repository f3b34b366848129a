// calibration.toml of a sweep with match = "time": the steps that each cell makes in the time of
// its baseline, from speeds measured side by side on one machine. The ids of runs hash the steps,
// so a plan never changes behind a user's back; another machine is another calibration.
#pragma once

#include "sweep/expand.h"

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

struct CalibratedCell {
    std::string variant;
    SweepPoint point;
    double tokens_per_s = 0;
    double relative = 0;       // time of a step, as a multiple of the baseline's
    double low = 0, high = 0;  // its 95 % interval over rounds
    long steps = 0;
};

struct Calibration {
    std::string device, date;
    std::vector<CalibratedCell> cells;

    // Throws UsageError saying what to type if there is none for the cell.
    long steps_of(const SweepCell& cell, const std::filesystem::path& file) const;
};

// Throws UsageError, IoError.
Calibration read_calibration(const std::filesystem::path& path);
std::string to_toml(const Calibration& calibration);

}  // namespace plumb
