// --device of the commands that compute: train, eval, generate, check, bench.
#pragma once

#include "core/context.h"

#include <CLI/CLI.hpp>

#include <string>

namespace plumb {

// device starts as "cpu".
void add_device_option(CLI::App& command, std::string& device);

// The device as typed; `threads` as --threads, 0: what there is. Throws UsageError for a device
// that is not known, or not there.
Context chosen_context(const std::string& device, int threads = 0);

}  // namespace plumb
