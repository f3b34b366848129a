// What a checkpoint keeps of a run: weights, the optimizer's state, and the few numbers below. All
// of it follows from config, data and step: same run, same bytes.
#pragma once

#include "config/config.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

struct RunState {
    long step = 0;                        // completed
    double best_loss = 0, last_loss = 0;  // on the validation sequences
    long best_step = -1, last_eval = -1;  // -1: none yet

    bool operator==(const RunState&) const = default;
};

// A run as its checkpoints know it: with other settings or data they are refused.
struct RunIdentity {
    const Config& config;
    std::string data;  // fingerprint
};

// Both throw Diverged if a number that they would save is not finite, and write nothing then.
void save_run_state(const std::filesystem::path& run, const RunState& state, Trainer& trainer,
                    const RunIdentity& identity);
// The weights alone, as checkpoints/best.
void save_best_weights(const std::filesystem::path& run, const RunState& state, Trainer& trainer,
                       const RunIdentity& identity);

// Throws IoError for a checkpoint that is damaged, or is not of this run and this step (another
// seed, mixer or setting, a step beyond train.steps; state.json and the folder's name disagree),
// UsageError for other data. The trainer is then not to be used.
RunState load_run_state(const std::filesystem::path& checkpoint, Trainer& trainer,
                        const RunIdentity& identity);

struct LoadedWeights {
    std::string sha256;  // of the file
    // Mixer parameters that only this model has: they keep their own start. That only the file has:
    // left out.
    std::vector<std::string> own, left_out;
};
// Weights of another run, whatever its mixer, into a trainer whose optimizer has made no step.
// Throws IoError if other names or any shape differ or a weight is not finite.
LoadedWeights load_weights(const ModelCheckpoint& checkpoint, Trainer& trainer);

}  // namespace plumb
