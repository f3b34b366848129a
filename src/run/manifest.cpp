#include "run/manifest.h"

#include "config/config.h"
#include "core/gpu.h"
#include "core/provenance.h"
#include "ops/attention_kernel.h"

namespace plumb {

nlohmann::ordered_json make_manifest(const ManifestInputs& in) {
    nlohmann::ordered_json out = provenance(in.command_line);
    out["numerics"] = in.numerics;
    const bool on_gpu = in.device == device_name(Device::cuda);
    out["run"] = {{"device", in.device},
                  {"precision", in.precision},
                  {"threads", in.threads},
                  {"attention", on_gpu ? "cuda" : name_of(attention_kernel())},
                  {"seed", in.seed}};
    if (on_gpu) out["run"]["gpu"] = gpu::devices();
    if (!in.seeds.is_null()) out["run"]["seeds"] = in.seeds;
    for (const FieldInfo& field : fields())
        if (!field.changes_numbers) out["run"]["keeps_numbers"].push_back(field.key);
    out["data"] = {{"description", in.dataset}, {"fingerprint", in.dataset_fingerprint}};
    if (!in.init_from.is_null()) out["init_from"] = in.init_from;
    return out;
}

}  // namespace plumb
