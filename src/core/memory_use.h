// Memory of this process as the system counts it (Linux; elsewhere nothing is known).
#pragma once

#include <optional>

namespace plumb {

struct MemoryUse {
    double now = 0, peak = 0;  // bytes of the resident set; peak since reset_peak_memory
};
std::optional<MemoryUse> memory_use();
// Gives memory that was freed back to the system, and starts the peak from what is left.
void reset_peak_memory();

}  // namespace plumb
