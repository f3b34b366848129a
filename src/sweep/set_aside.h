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

}  // namespace plumb
