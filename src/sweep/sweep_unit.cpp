#include "sweep/sweep_unit.h"

#include <algorithm>

namespace plumb {

double SweepUnit::weight() const {
    const double flops = run.flops_per_token * run.tokens;
    return flops > 0 ? flops : static_cast<double>(run.config.train.steps);
}

double SweepUnit::fraction_at(long step) const {
    const auto steps = static_cast<double>(run.config.train.steps);
    return step <= 0 ? 0 : std::min(1.0, static_cast<double>(step) / steps);
}

TuningLeft tuning_left(const std::vector<SweepUnit>& units, const PendingRuns& pending) {
    TuningLeft left;
    for (const SweepUnit& u : units) {
        const bool of_group =
            u.run.stage == "tune" &&
            (pending.variant.empty() || u.run.variant == pending.variant) &&
            std::all_of(pending.group.begin(), pending.group.end(), [&](const auto& value) {
                const auto at = u.run.point.find(value.first);
                return at == u.run.point.end() || at->second == value.second;
            });
        if (!of_group) continue;
        ++left.runs;
        if (u.phase != SweepUnit::Phase::over) ++left.open;
    }
    return left;
}

}  // namespace plumb
