// plumb sweep: a question as a file, its runs, and what became of them.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

void add_sweep_command(CLI::App& app);

}  // namespace plumb
