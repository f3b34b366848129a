// What is legal in a config and surely not meant. A run says it once, at its start.
#pragma once

#include "config/config.h"
#include "data/dataset.h"

#include <string>
#include <vector>

namespace plumb {

// One sentence each: what will happen, with the values, and what to type instead.
// mixer_params: numbers that the mixer learns.
std::vector<std::string> config_warnings(const Config& config, const Dataset& data,
                                         Index mixer_params);

}  // namespace plumb
