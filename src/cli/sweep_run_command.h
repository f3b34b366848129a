// plumb sweep run, run-index, status.
#pragma once

#include "cli/sweep_typed.h"
#include "sweep/sweep_runner.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace plumb {

// How the runs of a sweep are made, as it was typed.
struct TypedSweepRun {
    SweepRunOptions run;
    std::string gpus;
    std::vector<double> waits;       // seconds
    std::vector<std::string> rerun;  // what is made again
    bool quiet = false;

    void add_to(CLI::App& command);
};

// Runs what the file stands for, with a board on stdout; says at the end what failed and how to go
// on (`typed`). Returns the exit code.
int run_and_show(const SweepFile& file, const TypedSweep& typed, const TypedSweepRun& options);

void add_sweep_run(CLI::App& sweep);

}  // namespace plumb
