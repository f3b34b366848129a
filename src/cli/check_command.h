// `plumb check`: are the numbers of this build right? Gradients, identities, the PyTorch oracle.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

// Registers the subcommand. Its callback throws UsageError for an unknown mixer or a folder without
// fixtures, and CLI::RuntimeError(1) after the report if a check failed.
void add_check_command(CLI::App& app);

}  // namespace plumb
