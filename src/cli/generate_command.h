// `plumb generate`: text from a trained run.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

void add_generate_command(CLI::App& app);

}  // namespace plumb
