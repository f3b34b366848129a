// Bringing folders of one sweep from several machines together.
#pragma once

#include "core/check.h"

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

struct MergeReport {
    long taken = 0;                   // runs that were not here
    long replaced = 0;                // the other one was further; ours is in .merged/
    long kept = 0;                    // ours was as far or further
    long equal = 0;                   // ended in both, with the same losses
    std::vector<std::string> differ;  // "ID: 1.4412 in a, 1.4413 in b"
};

// Takes the runs of `from` into `into` (both folders of sweeps); a run that is in both is the one
// that came further, the other goes to into/.merged/. Both done: losses must agree, a test of
// reproducibility for nothing. Lines of from/plan.jsonl that are new are appended with new indices.
// Copies; `from` stays as it is. Throws UsageError, IoError, RunBusy for a run that is at work.
MergeReport merge_sweeps(const std::filesystem::path& into, const std::filesystem::path& from);

}  // namespace plumb
