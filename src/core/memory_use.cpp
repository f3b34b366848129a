#include "core/memory_use.h"

#include <fstream>
#include <string>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace plumb {

std::optional<MemoryUse> memory_use() {
    std::ifstream status("/proc/self/status");
    MemoryUse use;
    for (std::string word; status >> word;) {
        double* target = word == "VmRSS:" ? &use.now : word == "VmHWM:" ? &use.peak : nullptr;
        double kilobytes = 0;
        if (target && status >> kilobytes) *target = 1024 * kilobytes;
    }
    if (use.now <= 0) return std::nullopt;
    return use;
}

void reset_peak_memory() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
    std::ofstream("/proc/self/clear_refs") << "5\n";
}

}  // namespace plumb
