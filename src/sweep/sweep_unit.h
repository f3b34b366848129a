// One run in the hands of `plumb sweep run`. Internal to sweep/.
#pragma once

#include "core/clock.h"
#include "sweep/child_process.h"
#include "sweep/run_look.h"
#include "sweep/sweep_plan.h"

#include <optional>
#include <string>
#include <vector>

namespace plumb {

struct SweepUnit {
    // queued: to be started; child: by this process; held: by another; over: a result is there, or
    // nothing more is done for it.
    enum class Phase : std::uint8_t { queued, child, held, over };

    PlannedRun run;
    Phase phase = Phase::queued;
    RunLook look{};

    // child
    std::optional<ChildProcess> process{};
    int place = -1;  // of sweep_places.h; also of a run that was taken over from a dead sweep
    Clock::time_point started{};
    double start_fraction = 0;      // of its steps, when this attempt began
    long kills_before = 0;          // out_of_memory_kills()
    std::uintmax_t log_before = 0;  // size of its log, when this attempt began
    std::string culled_for{};       // why it was asked to stop; "": it was not

    // held
    bool orphan = false;  // its parent is dead: it counts as one of ours

    // queued
    Clock::time_point not_before{};
    double reached = 0;  // of its steps, by attempts that did not come to the end
    int failures = 0;

    std::string why{};      // of the last failure
    bool given_up = false;  // over, without a result

    std::string name() const { return run.dir.filename().string(); }
    std::string log() const { return (run.dir / kLogName).string(); }
    // Of its work among that of others.
    double weight() const;
    double fraction_at(long step) const;
};

// Runs of the first stage that this group's settings depend on, and those that have yet to end.
struct TuningLeft {
    long runs = 0, open = 0;
};
TuningLeft tuning_left(const std::vector<SweepUnit>& units, const PendingRuns& pending);

}  // namespace plumb
