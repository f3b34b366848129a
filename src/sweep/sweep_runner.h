// `plumb sweep run`: trains the runs of a sweep, several at a time, each in a process of its own.
// Nothing that matters is kept here: whatever ends this process, another finds in the folders what
// is done, and goes on. Any number of such processes may work on one sweep: the lock of a run
// (run/run_lock.h) keeps it from being trained twice.
#pragma once

#include "core/stop.h"
#include "sweep/failure_policy.h"
#include "sweep/sweep_plan.h"
#include "sweep/sweep_snapshot.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace plumb {

struct SweepRunOptions {
    int jobs = 0;     // runs at a time; 0: as many as there are cores for `threads` each
    int threads = 1;  // of a run
    std::vector<std::string> gpus;  // CUDA_VISIBLE_DEVICES of each place; empty: not set
    RetryPolicy retry;
    bool fail_fast = false;
    std::optional<double> memory;  // bytes that all may plan with; nothing: what is free
    std::string program = "/proc/self/exe";
};

struct SweepObserver {
    // One line on what happens. important: also for people who see the board.
    std::function<void(const std::string& text, bool important)> event;
    // Is it time for another board? Asked often.
    std::function<bool()> board_due;
    std::function<void(const SweepSnapshot&)> board;
};

enum class SweepOutcome : std::uint8_t { all_done, some_failed, interrupted };
struct SweepResult {
    SweepOutcome outcome = SweepOutcome::all_done;
    SweepSnapshot last;
    long pending = 0;           // runs that await tuning which has failed
    std::string stopped_for{};  // why the sweep gave up early; "": it did not
};

// replan: the plan as the folders are now, once the first stage of a group has ended; its new runs
// join the queue. Throws UsageError before anything starts if a run can never have its memory, or
// the options make no sense.
SweepResult run_sweep(SweepPlan plan, const std::function<SweepPlan()>& replan,
                      const SweepRunOptions& options, const SweepObserver& observer,
                      const StopFlag& stop);

}  // namespace plumb
