#include "run/manifest.h"

#include "config/config.h"
#include "core/check.h"
#include "core/files.h"
#include "core/process.h"
#include "plumb/build_info.h"
#include "plumb/git_info.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <array>
#include <ctime>
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
        return "";  // not Linux: the manifest says "unknown"
    }
}

}  // namespace

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

nlohmann::ordered_json make_manifest(const ManifestInputs& in) {
    const CpuInfo cpu = parse_cpuinfo(read_cpuinfo());
    nlohmann::ordered_json out;
    out["schema"] = 2;
    out["version"] = build_info::version;
    out["numerics"] = kNumerics;
    out["date"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
    out["command_line"] = in.command_line;
    out["git"] = {{"commit", git_commit()}, {"dirty", git_dirty()}};
    out["build"] = {{"compiler", build_info::compiler},
                    {"flags", build_info::flags},
                    {"type", build_info::build_type},
                    {"gemm", build_info::gemm},
                    {"cuda", build_info::cuda}};
    out["machine"] = {{"host", host_name()},
                      {"cpu", cpu.model},
                      {"isa", cpu.isa},
                      {"logical_cpus", cpu.logical_cpus}};
    out["run"] = {{"device", in.device},
                  {"precision", in.precision},
                  {"threads", in.threads},
                  {"seed", in.seed}};
    if (!in.seeds.is_null()) out["run"]["seeds"] = in.seeds;
    for (const FieldInfo& field : fields())
        if (!field.changes_numbers) out["run"]["keeps_numbers"].push_back(field.key);
    out["data"] = {{"description", in.dataset}, {"fingerprint", in.dataset_fingerprint}};
    if (!in.init_from.is_null()) out["init_from"] = in.init_from;
    return out;
}

}  // namespace plumb
