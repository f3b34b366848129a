// A trained network: the configuration of a run and the weights of one of its checkpoints, for the
// commands that use it (generate, eval, export).
#pragma once

#include "config/config.h"
#include "core/params.h"
#include "data/dataset.h"
#include "data/token_meta.h"
#include "train/checkpoint.h"

namespace plumb {

struct TrainedRun {
    CheckpointName name;
    Config config;
    ModelCheckpoint checkpoint;
    std::string command;  // that uses it, for hints

    const std::filesystem::path& folder() const { return name.run; }
    Index step() const { return checkpoint.step(); }
    Index vocab() const;  // rows of the embedding
};

// text: RUN, RUN@STEP or RUN@best. Throws IoError for what is missing or damaged, UsageError for
// what cannot be meant.
TrainedRun open_trained_run(const std::string& text, const std::string& command);

// Copies the weights. Throws IoError if names or shapes differ or a number is not finite.
void restore_weights(const TrainedRun& run, ParamStore<float>& params);

// The run has a data/meta.json; runs of schema 1 do not.
bool keeps_text(const TrainedRun& run);

// What the run's tokens mean: its own data/meta.json, or, in runs of schema 1, the one of its data
// folder. None where tokens have no text.
std::optional<TokenMeta> token_meta(const TrainedRun& run);
// The same, certain to be the run's: in a run of schema 1 the data must be there and be those that
// it was trained on, else this throws as open_run_data does.
std::optional<Tokenizer> tokenizer_of(const TrainedRun& run);

// The data of the run, or those of `folder`, whose tokens must mean the same. Throws UsageError if
// they do not, or if the run's own data are not those it was trained on; IoError if those are not
// there, and then never advises to prepare others in their place.
std::unique_ptr<Dataset> open_run_data(const TrainedRun& run, const std::string& folder = "",
                                       EvalSplit split = EvalSplit::val);

}  // namespace plumb
