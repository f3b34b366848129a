// What was typed for a sweep: a file, or the question itself as settings with lists of values.
//     plumb sweep run blocks.toml
//     plumb sweep run -c base.toml mixer=standard,attnres_block train.seed=1..5 --out runs/blocks
#pragma once

#include "sweep/sweep_file.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

struct TypedSweep {
    std::vector<std::string> words;  // FILE.toml, or key=value,value...
    std::string config;              // -c
    std::string baseline, hypothesis;
    double margin = 0;
    SweepOptions options;

    // The options that every subcommand with a sweep has.
    void add_to(CLI::App& command);
    // The sweep file: the one named, or OUT/sweep.toml, which is written for typed settings (it may
    // replace one that was written so). Throws UsageError, IoError.
    std::filesystem::path file() const;
    // Reads it.
    SweepFile read() const;
    // "plumb sweep WHAT FILE" with what else was typed, for "what to type next".
    std::string command(const std::string& what) const;

private:
    bool inline_form() const;
    std::filesystem::path write_inline() const;
};

}  // namespace plumb
