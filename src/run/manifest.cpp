#include "run/manifest.h"

#include "config/config.h"
#include "core/provenance.h"
#include "ops/attention_kernel.h"

namespace plumb {

nlohmann::ordered_json make_manifest(const ManifestInputs& in) {
    nlohmann::ordered_json out = provenance(in.command_line);
    out["numerics"] = in.numerics;
    out["run"] = {{"device", in.device},
                  {"precision", in.precision},
                  {"threads", in.threads},
                  {"attention", name_of(attention_kernel())},
                  {"seed", in.seed}};
    if (!in.seeds.is_null()) out["run"]["seeds"] = in.seeds;
    for (const FieldInfo& field : fields())
        if (!field.changes_numbers) out["run"]["keeps_numbers"].push_back(field.key);
    out["data"] = {{"description", in.dataset}, {"fingerprint", in.dataset_fingerprint}};
    if (!in.init_from.is_null()) out["init_from"] = in.init_from;
    return out;
}

}  // namespace plumb
