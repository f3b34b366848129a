// `plumb eval`: trained runs on a whole split, as they are and with interventions on the walk along
// depth (model/interventions.h).
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

// Registers the subcommand; its callback prints, and throws IoError or UsageError.
void add_eval_command(CLI::App& app);

}  // namespace plumb
