// What the command line offers, read from the CLI11 tree: one description from which help, man page
// and shell completion are made.
#pragma once

#include "cli/terminal.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace plumb {

struct OptionDoc {
    std::vector<std::string> names;  // "-o", "--out"; of an argument without dashes its one name
    std::string value;               // what follows: "DIR", "N", "auto|never|must"; "": a flag
    std::string text;
    bool positional = false, required = false, many = false;
};

struct CommandDoc {
    std::string name;  // "plumb data prepare"
    std::string text, footer;
    std::vector<OptionDoc> options;  // positional ones first
    std::vector<CommandDoc> commands;
};

CommandDoc describe(const CLI::App& app, const std::string& name);

// One page: usage, arguments, options, subcommands, footer, at most `width` columns where words
// allow it. Example commands that are longer go on after a backslash, so that they can be pasted.
std::string help_page(const CommandDoc& doc, int width);

// Makes every --help of `app`, and of subcommands added later, such a page.
void use_help_pages(CLI::App& app);

}  // namespace plumb
