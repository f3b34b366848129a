#include "run/manifest.h"

#include "config/config.h"
#include "core/clock.h"
#include "core/cpu_info.h"
#include "core/process.h"
#include "plumb/build_info.h"
#include "plumb/git_info.h"

namespace plumb {

nlohmann::ordered_json make_manifest(const ManifestInputs& in) {
    const CpuInfo cpu = this_cpu();
    nlohmann::ordered_json out;
    out["schema"] = 2;
    out["version"] = build_info::version;
    out["numerics"] = kNumerics;
    out["date"] = utc_now();
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
