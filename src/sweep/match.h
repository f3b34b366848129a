// Making variants alike in what a comparison holds fixed: one key of each cell is moved until its
// parameters, the FLOPs of the whole run or its time come nearest to those of the baseline at the
// same point.
#pragma once

#include "sweep/expand.h"

#include <string>
#include <vector>

namespace plumb {

// The cell of the baseline that `cell` is compared with: one whose keys all have the same value
// there. nullptr: none.
const SweepCell* baseline_of(const SweepFile& file, const std::vector<SweepCell>& cells,
                             const SweepCell& cell);

// Moves SweepFile::match_by where match asks for it; `notes` say how near that came and what is not
// matched, `warnings` where it is more than 1 % off. Throws UsageError, IoError.
void match_cells(const SweepFile& file, std::vector<SweepCell>& cells, SweepCosts& costs,
                 std::vector<std::string>& notes, std::vector<std::string>& warnings);

}  // namespace plumb
