// Completion of a command line that is being typed, and the scripts that let a shell ask for it.
//
// The scripts are short and know nothing of plumb: they call `plumb complete -- WORDS...` and show
// what it prints, so that they are never out of date.
#pragma once

#include "cli/command_doc.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace plumb {

// Registers `completion SHELL`.
void add_completion_command(CLI::App& app);

// Answers `plumb complete -- WORDS...`, which shells ask and nobody types: before anything is
// parsed, since the words are unfinished. False for other `words` (the ones after "plumb").
bool print_completion(const CLI::App& app, const std::vector<std::string>& words);

struct Candidate {
    std::string word;  // or ":files", ":folders": the shell completes names itself
    std::string text;  // what it means, for shells that show it
};

// What the last of `words` (the ones after "plumb"; the last may be empty) may become.
std::vector<Candidate> complete(const CommandDoc& plumb, const std::vector<std::string>& words);

// For bash, zsh or fish; UsageError for another.
std::string completion_script(const std::string& shell);

}  // namespace plumb
