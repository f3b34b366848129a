// The runs that a sweep file stands for: expanded, costed, numbered.
#pragma once

#include "core/view.h"
#include "sweep/sweep_file.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace plumb {

// Keys of grid, zip and tune and the value (TOML text) that a run has of each; without those that
// its variant does not read.
using SweepPoint = std::map<std::string, std::string>;

struct PlannedRun {
    long index = -1;      // line of plan.jsonl, for ever
    std::string id;       // sweep/identity.h
    std::string variant;  // name
    std::string stage;    // main | tune
    SweepPoint point;
    long seed = 0;
    Config config;              // of the whole run, record.label and train.seed set
    std::filesystem::path dir;  // SWEEP/block4-layers12-s3-1f0c9e2b7a
    Index params = 0, mixer_params = 0;
    double flops_per_token = 0;  // training, forward and backward
    double tokens = 0;           // of the whole run
    double memory = 0;           // bytes that the run needs at once
    double disk = 0;             // bytes of its folder at the end
};

// Runs whose settings await the results of the first stage (sweep/tune.h).
struct PendingRuns {
    std::string variant;
    SweepPoint group;
    long runs = 0;        // how many there will be
    long tune_runs = 0;   // of them
    long tune_ended = 0;  // done or diverged
};

struct TuneWinner {
    std::string variant;
    SweepPoint group;   // keys of tune.per, the variant apart
    SweepPoint chosen;  // the tuned keys
    std::string edge;   // "largest" | "smallest" of the values tried, else ""
    std::string key;    // that the edge is of
};

struct SweepPlan {
    SweepFile file;
    std::vector<PlannedRun> runs;  // by stage, variant, point and seed, as the file has them
    std::vector<PendingRuns> pending;
    std::vector<TuneWinner> winners;
    std::vector<std::string> notes, warnings;
    int comparisons = 0;  // most variants and points that are compared with one baseline
    long orphans = 0;     // lines of plan.jsonl that the file no longer stands for
};

// Reads what the file stands for now. Stage 2 of tuned groups is in `runs` once every run of their
// first stage has ended, in `pending` before. index is -1 for runs that plan.jsonl does not have.
// Writes nothing. Throws UsageError, IoError.
SweepPlan make_plan(const SweepFile& file);

// The same, and makes the folder of the sweep: appends what is new to plan.jsonl (one planner at a
// time: a lock on the file), so that every run has its index, and writes sweep.toml (a copy),
// base.toml (the base, resolved: the folder stands for itself) and sweep.json (what the file says,
// resolved, for other programs). A second planner appends nothing.
SweepPlan write_plan(const SweepFile& file);

// The runs with these index; UsageError for an index that is none, or of a run that the file no
// longer stands for.
std::vector<PlannedRun> runs_at(const SweepPlan& plan, long first, long last);

}  // namespace plumb
