// The two stages of a sweep with [tune]: first every value to try, on seeds of their own; then, for
// each group of cells, the reported seeds with the value that did best. Which did best is a pure
// function of the runs of the first stage, so every worker finds the same.
#pragma once

#include "sweep/expand.h"
#include "sweep/plan_file.h"

#include <vector>

namespace plumb {

struct Staged {
    std::vector<PlannedRun> runs;  // of the first stage, and of the second where it is known
    std::vector<PendingRuns> pending;
    std::vector<TuneWinner> winners;
    std::vector<std::string> warnings;
};

// `lines`: where runs of the first stage are. `met`: gets every [[exclude]] that dropped a value.
Staged stage_runs(const SweepFile& file, const std::vector<SweepCell>& cells, SweepCosts& costs,
                  const std::vector<PlanLine>& lines, Met& met);

// Position of the best of the candidates, by the mean of their scores; a candidate with a run that
// diverged (infinite) is worst of all. Of equal ones the first. Nothing if all are infinite.
std::optional<std::size_t> best_candidate(const std::vector<std::vector<double>>& scores);

}  // namespace plumb
