// How much the seed alone moves the loss: the standard deviation over seeds of a baseline, measured
// once for a shape and kept beside the sweeps (runs/noise.json) for the plans of others.
#pragma once

#include "sweep/sweep_plan.h"

#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

inline constexpr int kNoiseSeeds = 10;

struct Noise {
    double sd = 0, mean = 0;
    long n = 0;
    std::string where;  // folder of the runs
};

// The sweep of `plumb sweep noise`: the first cell of the baseline of `file`, with ten seeds.
struct NoiseSweep {
    Config base;
    std::string text;  // the sweep file over base.toml
};
NoiseSweep noise_sweep(const SweepFile& file);

// Of the plan's baseline, metric and training, whatever the learning rate; from noise.json in the
// folder that holds the sweep's. Nothing if it was not measured.
std::optional<Noise> find_noise(const SweepPlan& plan);

// Takes the sd over the ended runs of a plan of one cell and writes it to noise.json. Throws
// UsageError if fewer than 3 runs completed.
Noise record_noise(const SweepPlan& plan);

}  // namespace plumb
