// plumb sweep status.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

void add_sweep_status(CLI::App& sweep);

}  // namespace plumb
