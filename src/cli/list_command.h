// `plumb list`: what is built in, and every setting. `plumb help` shows the same entries one by
// one.
#pragma once

#include "cli/terminal.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace plumb {

// Registers the subcommand; its callback prints.
void add_list_command(CLI::App& app);

struct ListItem {
    std::string name;                // what a user types: attnres, train.lr
    std::string summary;             // a sentence
    std::vector<std::string> facts;  // more, a line each
    std::vector<std::string> usage;  // lines to type, as they are; for `plumb help`
    nlohmann::ordered_json json;
};

struct ListKind {
    std::string name, text;  // "tasks", "built-in data with a known optimum"
};
const std::vector<ListKind>& list_kinds();

// Throws UsageError unless `kind` is one of list_kinds().
std::vector<ListItem> list_items(const std::string& kind);

// The kinds that have an entry which holds `word` (of three letters or more).
std::vector<std::string> kinds_that_mention(const std::string& word);

// Entries that hold `word` somewhere, or all for "". `kind` empty: the kinds themselves.
std::string list_text(const std::string& kind, const Terminal& terminal,
                      const std::string& word = "");
std::string list_json(const std::string& kind, const std::string& word = "");

}  // namespace plumb
