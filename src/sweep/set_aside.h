// Runs that are to be made again: their folders go to SWEEP/.old/N/, where nothing looks for runs.
// Nothing is ever overwritten.
#pragma once

#include "sweep/sweep_plan.h"

#include <string>
#include <vector>

namespace plumb {

// which: an id or folder of a run, or failed, diverged, culled, outdated. Returns how many were
// moved. Throws UsageError for a word that is none, RunBusy for a run that a process is at; then
// nothing was moved.
long set_aside(const SweepPlan& plan, const std::vector<std::string>& which);

// Moves what is left of a run without its config.toml (a folder that was removed while it trained)
// to SWEEP/.old, so that the run can begin again. False: there is nothing of the kind.
bool set_aside_remains(const std::filesystem::path& run, const std::filesystem::path& sweep);

}  // namespace plumb
