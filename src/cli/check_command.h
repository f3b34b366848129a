// `plumb check`: are the numbers of this build right? Gradients, identities, the PyTorch oracle.
#pragma once

#include "check/self_check.h"
#include "cli/terminal.h"

#include <CLI/CLI.hpp>

namespace plumb {

// A table with one row per line, and the counts as `key: value`.
std::string check_text(const std::vector<CheckLine>& lines, const Terminal& terminal);
// {"checks": [{mixer, setting, name, value, limit, status, note}], "failed", "skipped"}; a value
// that is not a number is null.
std::string check_json(const std::vector<CheckLine>& lines);

// Registers the subcommand. Its callback throws UsageError for an unknown mixer or a folder without
// fixtures, and ExitWith(kCheckFailed) after the report if a check failed.
void add_check_command(CLI::App& app);

}  // namespace plumb
