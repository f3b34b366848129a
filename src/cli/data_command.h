// `plumb data prepare`: from text to a folder that data.path=DIR opens.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

// Registers the subcommand; its callback does the work and throws UsageError or IoError.
void add_data_command(CLI::App& app);

}  // namespace plumb
