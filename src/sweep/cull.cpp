#include "sweep/cull.h"

#include "formats/jsonl.h"

#include <algorithm>

namespace plumb {

std::optional<double> loss_at_share(const PlannedRun& run, double at) {
    const double from = at * static_cast<double>(run.config.train.steps);
    try {
        for (const auto& line : read_jsonl(run.dir / "metrics.jsonl")) {
            const auto step = line.find("step"), loss = line.find("val/loss");
            if (step != line.end() && loss != line.end() && step->is_number() &&
                loss->is_number() && step->get<double>() >= from)
                return loss->get<double>();
        }
    } catch (const IoError&) {  // not there yet, or for the run itself to say
    }
    return std::nullopt;
}

std::string Culling::look(const PlannedRun& run) {
    if (!rule_ || seen_.contains(run.id)) return "";
    const auto loss = loss_at_share(run, rule_->at);
    if (!loss) return "";
    const auto best =
        std::min_element(seen_.begin(), seen_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const bool bad = best != seen_.end() && *loss > best->second + rule_->drop_above;
    std::string why;
    if (bad)
        why = fmt::format(
            "validation loss {:.4f} at {:.0f}% of its steps, more than {} above the best, {:.4f}",
            *loss, 100 * rule_->at, rule_->drop_above, best->second);
    seen_[run.id] = *loss;
    return why;
}

}  // namespace plumb
