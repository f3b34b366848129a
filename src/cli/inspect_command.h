// `plumb inspect`: runs by depth, from their depth.jsonl.
#pragma once

#include "cli/terminal.h"
#include "record/measures.h"
#include "record/stored_probe.h"
#include "run/run_condition.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

// Registers the subcommand; its callback prints, and throws IoError or UsageError.
void add_inspect_command(CLI::App& app);

struct InspectedRun {
    std::string name;  // as it was typed
    RunCondition condition;
    StoredProbe probe;
};
// Throws IoError if it is no run, or has no such probe (read_stored_probe).
InspectedRun read_inspected_run(const std::filesystem::path& run, Index step);

struct InspectChoice {
    std::vector<std::string> keys;  // measures to show; empty: the headline ones
    bool all = false;               // every measure, of several runs too
};
// By depth, comparable ones first. Of several runs "this mixer only" ones are left out unless they
// are asked for. Throws UsageError for a key that is not a measure by depth with one number.
std::vector<const Measure*> chosen_measures(const InspectChoice& choice, std::size_t n_runs);

// What the command prints.
std::string inspect_text(const std::vector<InspectedRun>& runs, const InspectChoice& choice,
                         const Terminal& terminal);
std::string inspect_json(const std::vector<InspectedRun>& runs);
std::string inspect_csv(const std::vector<InspectedRun>& runs);

}  // namespace plumb
