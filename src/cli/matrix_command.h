// `plumb matrix`: the depth-mixing matrix of a run.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

// Registers the subcommand; its callback prints, and throws IoError or UsageError.
void add_matrix_command(CLI::App& app);

}  // namespace plumb
