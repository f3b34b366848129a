// Trained runs side by side: losses of each, what interventions change, means over seeds.
#pragma once

#include "config/config.h"
#include "core/student_t.h"
#include "model/interventions.h"
#include "train/evaluate.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace plumb {

// ---- what is changed ---------------------------------------------------------------------------

struct InterventionOptions {
    // Of model/interventions.h; {"all"}: drops or masks one at a time, or every block swapped with
    // the next, one at a time.
    std::vector<std::string> drop, mask, swap, gain;
    int controls = 0;  // random ones beside each change that has drops or masks
    long seed = 1;     // of the controls
};

struct Intervention {
    std::string name;  // "drop layer.0.mlp"
    Interventions what;
    std::vector<Interventions> controls;
};

// One intervention of everything that is asked for, or the list that "all" means. Throws UsageError
// for what does not exist in a model of this layout, for "all" beside another one, and for controls
// without a drop or mask.
std::vector<Intervention> interventions(const InterventionOptions& options, const Layout& layout);

// ---- what comes of it --------------------------------------------------------------------------

// Losses in nats per token.
struct Change {
    std::string name;
    double loss = 0;
    std::vector<double> controls;
};

struct RunScore {
    std::string run;  // as typed
    Index step = 0;
    Config config;
    Evaluation score;
    std::optional<double> bits_per_byte;  // none: the data are not text
    std::vector<Change> changes;
};

// Scores the model as it is and with each intervention, on the first n_sequences of the split (0:
// all of it), and leaves it without any. progress: from 0 to 1.
void score_run(const Context& ctx, Model<float>& model, const Dataset& data,
               const std::vector<Intervention>& changes, Index n_sequences,
               const std::function<void(double)>& progress, RunScore& out);

// Runs that differ in their seeds alone, at one step.
struct SeedGroup {
    std::string label;  // mixer and its options, and the keys in which groups of one label differ
    std::vector<const RunScore*> runs;
    MeanInterval loss;
    std::optional<MeanInterval> bits_per_byte;
    std::vector<MeanInterval> deltas;  // by change: loss with it less loss without, paired by run
};

// In the order of their first run. The runs must outlive the groups.
std::vector<SeedGroup> group_by_seed(const std::vector<RunScore>& runs);

// ---- how it is printed -------------------------------------------------------------------------

nlohmann::ordered_json to_json(const std::vector<RunScore>& runs,
                               const std::vector<SeedGroup>& groups);

}  // namespace plumb
