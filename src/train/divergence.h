// What went wrong with a pass whose numbers are of no use, and what to try.
#pragma once

#include "model/model.h"
#include "train/train_config.h"

#include <string>

namespace plumb {

// The first tensor on the way through the model that is not finite, or the read that overflows its
// norm; empty if there is none. Runs the loaded batch again, forward and backward, and overwrites
// the gradients.
std::string first_bad_tensor(const Context& ctx, Model<float>& model);

// What to change after `step` steps were made. `finite`: the loss was too large, but a number.
std::string divergence_advice(const TrainConfig& train, long step, bool finite);

}  // namespace plumb
