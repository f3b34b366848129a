// `plumb export`: a checkpoint for other programs (run/export.h).
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

// Registers the subcommand; its callback writes, and throws IoError or UsageError.
void add_export_command(CLI::App& app);

}  // namespace plumb
