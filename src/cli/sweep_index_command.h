// plumb sweep run-index.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

void add_sweep_run_index(CLI::App& sweep);

}  // namespace plumb
