// What runs need: counted once for each shape of model, as a sweep has many runs of few shapes.
#pragma once

#include "sweep/sweep_plan.h"

#include <map>
#include <string>

namespace plumb {

struct ShapeCost {
    Index params = 0, mixer_params = 0;
    double flops_per_token = 0;
    Index tokens_per_step = 0;
    double memory = 0, optimizer_state = 0;  // bytes
    int ways = 1;                            // matrices M of a token
};

class SweepCosts {
public:
    // Throws UsageError, IoError: what cannot be trained.
    const ShapeCost& of(const Config& config);
    // Dataset::fingerprint of the config's data, taken once.
    const std::string& fingerprint(const Config& config);
    // Sets params, flops_per_token, tokens, memory and disk of `run` from its config.
    void fill(PlannedRun& run);

private:
    std::map<std::string, ShapeCost> shapes_;
    std::map<std::string, std::string> fingerprints_;
};

}  // namespace plumb
