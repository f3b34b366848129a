#include "core/cpu_info.h"

#include "core/check.h"
#include "core/files.h"

#include <array>
#include <set>
#include <sstream>

namespace plumb {
namespace {

// x86 as /proc/cpuinfo spells it, then Arm.
constexpr std::array kIsaOfInterest{"sse4_2",      "avx2",        "fma",      "avx512f",
                                    "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16",
                                    "asimd",       "sve",         "bf16"};

std::string read_cpuinfo() {
    try {
        return read_file("/proc/cpuinfo");
    } catch (const IoError&) {
        return "";  // not Linux
    }
}

}  // namespace

CpuInfo this_cpu() { return parse_cpuinfo(read_cpuinfo()); }

CpuInfo parse_cpuinfo(const std::string& text) {
    CpuInfo out{"unknown", {}, 0};
    std::set<std::string> flags;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos) continue;
        const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
        const std::size_t start = line.find_first_not_of(" \t", colon + 1);
        const std::string value = start == std::string::npos ? "" : line.substr(start);
        if (key == "processor") ++out.logical_cpus;
        if (key == "model name" && out.model == "unknown") out.model = value;
        if ((key == "flags" || key == "Features") && flags.empty()) {
            std::istringstream words(value);
            for (std::string word; words >> word;) flags.insert(word);
        }
    }
    for (const char* isa : kIsaOfInterest)
        if (flags.count(isa) > 0) out.isa.push_back(isa);
    return out;
}

}  // namespace plumb
