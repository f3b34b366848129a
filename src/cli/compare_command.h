// plumb compare, plumb report, plumb figures: what becomes of runs. Described here, done in Python
// (scripts/plumb).
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

void add_compare_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_figures_command(CLI::App& app);

}  // namespace plumb
