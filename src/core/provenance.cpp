#include "core/provenance.h"

#include "core/clock.h"
#include "core/cpu_info.h"
#include "core/gpu.h"
#include "core/process.h"
#include "plumb/build_info.h"
#include "plumb/git_info.h"

namespace plumb {

nlohmann::ordered_json provenance(const std::vector<std::string>& command_line) {
    const CpuInfo cpu = this_cpu();
    nlohmann::ordered_json out;
    out["schema"] = 2;
    out["version"] = build_info::version;
    out["date"] = utc_now();
    out["command_line"] = command_line;
    out["git"] = {{"commit", git_commit()}, {"dirty", git_dirty()}};
    out["build"] = {{"compiler", build_info::compiler},
                    {"flags", build_info::flags},
                    {"type", build_info::build_type},
                    {"gemm", build_info::gemm},
                    {"cuda", gpu::version()}};
    out["machine"] = {{"host", host_name()},
                      {"cpu", cpu.model},
                      {"isa", cpu.isa},
                      {"logical_cpus", cpu.logical_cpus}};
    return out;
}

}  // namespace plumb
