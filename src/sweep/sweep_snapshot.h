// The state of a sweep at work, for a board.
#pragma once

#include "sweep/sweep_places.h"
#include "sweep/sweep_unit.h"
#include "sweep/work_rate.h"

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace plumb {

struct SweepCounts {
    long total = 0, done = 0, diverged = 0, culled = 0, failed = 0, running = 0, elsewhere = 0,
         queued = 0;
};

struct SweepSnapshot {
    struct Running {
        std::string name;
        long step = -1, steps = 0;  // step -1: before its first line
        std::optional<double> loss{};
        double tokens_per_s = 0;  // 0: not known
        std::string where;        // "cores 0-3"
    };
    struct Failed {
        std::string name, why, log;  // why: the last line of the log
        int attempt = 0, attempts = 0;
        bool final = false;  // not tried again
    };
    std::string name;  // of the sweep
    SweepCounts counts;
    double fraction = 0;                                      // of all the work
    double eta_s = std::numeric_limits<double>::quiet_NaN();  // not known yet
    std::string best;                                         // "1.3967 attnres s1"
    std::vector<Running> running;
    std::vector<Failed> failed;
};

// Counts, progress and failures of the units; rate: of the runs that have ended. Reads the ends of
// the files of runs that go on.
SweepSnapshot snapshot_of(const std::vector<SweepUnit>& units,
                          const std::vector<SweepPlace>& places, int at_a_time, int attempts,
                          WorkRate rate);

}  // namespace plumb
