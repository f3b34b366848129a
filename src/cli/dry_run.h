// `plumb train --dry-run`: what a run is going to be, before it costs anything.
#pragma once

#include "config/config.h"
#include "core/context.h"

namespace plumb {

// Share of the GEMM rate that a step is taken to reach where no run has shown it.
inline constexpr double kAssumedShare = 0.5;

// Prints the resolved config with the origin of each value, parameter counts by group, FLOPs a
// token, the memory plan (every tensor with `by_tensor`) and a time estimate; ends in `key: value`.
void print_dry_run(const LoadedConfig& loaded, const Context& context, bool by_tensor);

}  // namespace plumb
