// The processor of this machine.
#pragma once

#include <string>
#include <vector>

namespace plumb {

// Its name ("unknown" if the system does not say) and which of the instruction sets that matter to
// our kernels it has.
struct CpuInfo {
    std::string model;
    std::vector<std::string> isa;
    int logical_cpus;
};
CpuInfo this_cpu();
// From the text of /proc/cpuinfo.
CpuInfo parse_cpuinfo(const std::string& text);

}  // namespace plumb
