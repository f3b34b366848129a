// How far a run has come: what its files say, held against whether a process is at it.
#pragma once

#include <filesystem>
#include <string>

namespace plumb {

struct RunCondition {
    // done | running | interrupted | diverged | failed, or unknown: no STATUS, or another word in
    // it. A run that calls itself running and that nobody holds was killed: interrupted.
    std::string status;
    long step = -1;  // the last that was logged or saved; -1: none
    long steps = 0;  // train.steps; 0: not known
};

// For commands that only read: throws nothing for a run that is damaged.
RunCondition run_condition(const std::filesystem::path& run);

// "interrupted at step 40 of 200; go on with: plumb train --out runs/a --resume auto"; "" for a run
// that is done.
std::string unfinished_text(const std::filesystem::path& run, const RunCondition& condition);

// The last step in metrics.jsonl, -1 if there is none. Throws IoError for a damaged file.
long last_logged_step(const std::filesystem::path& run);

}  // namespace plumb
