// Measuring what match = "time" needs: each cell's steps against those of its baseline, in turn.
#pragma once

#include "sweep/calibration.h"

#include <functional>
#include <string>

namespace plumb {

struct CalibrateOptions {
    int threads = 1;
    int rounds = 9;
    std::function<void(double fraction, const std::string& what)> progress;
};

// Steps of a cell: those of its baseline by the median ratio of step times. Throws UsageError,
// IoError.
Calibration calibrate(const SweepFile& file, const CalibrateOptions& options);

}  // namespace plumb
