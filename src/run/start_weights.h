// The weights that a new run starts from: train.init_from.
#pragma once

#include "config/config.h"
#include "model/model.h"

#include <filesystem>

namespace plumb {

// --init-from RUN says the newest checkpoint; the run keeps which that was, so that it starts from
// the same one however often it is started. Throws IoError if there is none.
Config with_settled_start(Config config, const std::filesystem::path& out);

// Throws UsageError unless every parameter outside the mixer has the shape there that it has in
// `model`, the network of `config`: names the settings that differ, and what to add.
void require_fitting_weights(const Config& config, Model<float>& model);

}  // namespace plumb
