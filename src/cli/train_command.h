// `plumb train`: one training run.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

// Registers the subcommand; errors leave its callback as exceptions.
void add_train_command(CLI::App& app);

}  // namespace plumb
