// `plumb list`: the built-in mixers, tasks and corpora.
#pragma once

#include "cli/terminal.h"

#include <CLI/CLI.hpp>

#include <string>

namespace plumb {

// Registers the subcommand; its callback prints.
void add_list_command(CLI::App& app);

// `what` is mixers, tasks or corpora; anything else is a UsageError.
std::string list_text(const std::string& what, const Terminal& terminal);
std::string list_json(const std::string& what);

}  // namespace plumb
