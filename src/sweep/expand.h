// A sweep file as runs: every variant at every point of grid and zip, with every seed.
#pragma once

#include "sweep/costs.h"
#include "sweep/sweep_plan.h"

#include <set>
#include <string>
#include <vector>

namespace plumb {

// One variant at one point of grid and zip, before tuning and seeds.
struct SweepCell {
    std::string variant;
    SweepPoint point;
    LoadedConfig config;
};

// Which conditions of the file's [[when]] and [[exclude]] something has met.
using Met = std::set<const SweepCondition*>;

// In the order of the file. Keys that a variant does not read leave its points (a note says so);
// equal points are one. Throws UsageError with every fault.
std::vector<SweepCell> expand(const SweepFile& file, SweepCosts& costs,
                              std::vector<std::string>& notes, Met& met);

// Whether an [[exclude]] of the file drops what has these settings. Before tuning, those that name
// a tuned key say nothing yet: its value is the base's.
bool excluded(const SweepFile& file, const Config& config, bool tuned, Met& met);

// Whether the losses of `config` can depend on `key`: options of other mixers, optimizers
// and tasks are not read, and mixer.lr_scale moves nothing in a mixer without parameters.
bool reads(const Config& config, const std::string& key, SweepCosts& costs);

// Runs of a cell with these seeds, costed, without index and folder.
std::vector<PlannedRun> runs_of(const SweepCell& cell, const std::string& stage,
                                const std::vector<long>& seeds, SweepCosts& costs);

// The cell with values of tuned keys, those it reads: set, and added to its point.
SweepCell with_tuned(const SweepCell& cell, const std::vector<PlacedSetting>& tuned,
                     SweepCosts& costs);

// "block4-layers12-s3-1f0c9e2b7a": a folder's name from what the run is.
std::string folder_name(const PlannedRun& run);

// Last word of a dotted key: layers of model.layers.
std::string short_key(const std::string& key);

// What a fault of several runs looks like: each once.
class Faults {
public:
    void add(const std::string& fault);
    void throw_if_any(const std::string& file) const;

private:
    std::vector<std::string> faults_;
};

}  // namespace plumb
