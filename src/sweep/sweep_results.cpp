#include "sweep/sweep_results.h"

#include "core/json.h"

namespace plumb {

std::optional<double> result_of(const std::filesystem::path& run, const std::string& metric) {
    try {
        const auto json = read_json_object(run / "summary.json");
        const auto at = json.find(metric);
        if (at != json.end() && at->is_number()) return at->get<double>();
    } catch (const IoError&) {  // for `plumb compare` to say
    }
    return std::nullopt;
}

std::optional<double> BestResult::add(const PlannedRun& run, const std::string& metric) {
    const auto value = result_of(run.dir, metric);
    add(value, run.stage, run.variant, run.seed);
    return value;
}

void BestResult::add(std::optional<double> value, const std::string& stage,
                     const std::string& variant, long seed) {
    if (!value || stage == "tune" || (value_ && *value_ <= *value)) return;
    value_ = value;
    name_ = fmt::format("{} s{}", variant, seed);
}

std::string BestResult::text() const {
    return value_ ? fmt::format("{:.4f} {}", *value_, name_) : "";
}

}  // namespace plumb
