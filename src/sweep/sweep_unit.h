// One run in the hands of `plumb sweep run`. Internal to sweep/.
#pragma once

#include "sweep/child_process.h"
#include "sweep/run_look.h"
#include "sweep/sweep_plan.h"

#include <chrono>
#include <optional>
#include <string>

namespace plumb {

using SweepClock = std::chrono::steady_clock;

struct SweepUnit {
    // queued: to be started; child: by this process; held: by another; over: a result is there, or
    // nothing more is done for it.
    enum class Phase : std::uint8_t { queued, child, held, over };

    PlannedRun run;
    Phase phase = Phase::queued;
    RunLook look{};

    // child
    std::optional<ChildProcess> process{};
    int slot = -1;  // also of a run that was taken over from a dead sweep
    SweepClock::time_point started{};
    double start_fraction = 0;  // of its steps, when this attempt began
    long kills_before = 0;      // of memory_admission.h

    // held
    bool orphan = false;  // its parent is dead: it counts as one of ours

    // queued
    SweepClock::time_point not_before{};
    int failures = 0;

    std::string why{};      // of the last failure
    bool given_up = false;  // over, without a result

    std::string name() const { return run.dir.filename().string(); }
    double weight() const {  // of its work among that of others
        const double flops = run.flops_per_token * run.tokens;
        return flops > 0 ? flops : static_cast<double>(run.config.train.steps);
    }
    double fraction_at(long step) const {
        const auto steps = static_cast<double>(run.config.train.steps);
        return step <= 0 ? 0 : std::min(1.0, static_cast<double>(step) / steps);
    }
};

}  // namespace plumb
