// `plumb help TOPIC`: one page about a subcommand, a setting, or anything that `plumb list` knows.
#pragma once

#include "cli/terminal.h"

#include <CLI/CLI.hpp>

#include <string>

namespace plumb {

// Registers the subcommand; `app` outlives it, and its other subcommands are topics too.
void add_help_command(CLI::App& app);

// The page; `topic` may be the last part of a key ("lr" for train.lr). Several things of one name
// follow each other. Throws UsageError, naming a near topic, where there is none.
std::string help_topic(const CLI::App& app, const std::string& topic, const Terminal& terminal);

// Every topic: subcommands, then the names under `plumb list`.
std::vector<std::string> help_topics(const CLI::App& app);

}  // namespace plumb
