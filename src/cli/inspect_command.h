// `plumb inspect`: a run by depth, from its depth.jsonl.
#pragma once

#include "cli/terminal.h"
#include "core/view.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

// Registers the subcommand; its callback prints, and throws IoError or UsageError.
void add_inspect_command(CLI::App& app);

// One probe of a run: the lines of a step, in order of depth.
struct DepthProbe {
    Index step = 0;
    std::vector<nlohmann::json> depths;
};
// Of the given step, or of the last for step < 0. Throws IoError if there is no such probe.
DepthProbe read_depth_probe(const std::filesystem::path& run, Index step);

// What the command prints.
std::string inspect_text(const DepthProbe& probe, const Terminal& terminal);
std::string inspect_json(const DepthProbe& probe);
std::string inspect_csv(const DepthProbe& probe);

}  // namespace plumb
