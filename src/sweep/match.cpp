#include "sweep/match.h"

#include "config/config_fields.h"
#include "core/check.h"
#include "sweep/calibration.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace plumb {
namespace {

constexpr double kNear = 0.01;  // a rest above it is worth a warning

double total_flops(const SweepCell& cell, SweepCosts& costs) {
    const ShapeCost& c = costs.of(cell.config.config);
    return c.flops_per_token * static_cast<double>(c.tokens_per_step) *
           static_cast<double>(cell.config.config.train.steps);
}

long number_of(const Config& config, const std::string& key) {
    Config copy = config;
    copy.model = config.model.resolved();  // what 0 stands for
    for (const FieldRef& field : field_refs(copy))
        if (const auto* const* value = std::get_if<long*>(&field.value);
            value != nullptr && field.key == key)
            return **value;
    throw UsageError(fmt::format("match_by = \"{}\" is no integer setting", key));
}

SweepCell moved(const SweepCell& cell, const std::string& key, long value) {
    SweepCell out = cell;
    out.config = with_settings(cell.config, {{key, fmt::format("{}", value), "match_by"}});
    return out;
}

// Parameters with `key` at `value`; nothing where no such model can be built.
std::optional<double> params_at(const SweepCell& cell, const std::string& key, long value,
                                SweepCosts& costs) try {
    return static_cast<double>(costs.of(moved(cell, key, value).config.config).params);
} catch (const UsageError&) {
    return std::nullopt;
}

// The smallest step from `value` at which models can be built: a width is a multiple of the heads.
long unit_of(const SweepCell& cell, const std::string& key, long value, SweepCosts& costs) {
    for (long unit = 1; unit <= 1024; ++unit)
        if (params_at(cell, key, value + unit, costs)) return unit;
    throw UsageError(
        fmt::format("match_by = \"{}\": {} cannot be moved from {}", key, cell.variant, value));
}

// Parameters grow with the key: bisection between values of which one is below and one above.
SweepCell match_params(const SweepCell& cell, const std::string& key, double wanted,
                       SweepCosts& costs) {
    const long start = number_of(cell.config.config, key);
    const long unit = unit_of(cell, key, start, costs);
    const auto params = [&](long units) {
        return params_at(cell, key, start + units * unit, costs);
    };
    long low = 0, high = 0;
    for (long reach = 1; params(high).value_or(wanted) < wanted; reach *= 2) high += reach;
    const long lowest = -((start - 1) / unit);
    for (long reach = 1; low > lowest && params(low).value_or(0) > wanted; reach *= 2)
        low = std::max(lowest, low - reach);
    while (high - low > 1) {
        const long middle = low + (high - low) / 2;
        (params(middle).value_or(0) < wanted ? low : high) = middle;
    }
    const double below = std::abs(params(low).value_or(0) - wanted);
    const double above = std::abs(params(high).value_or(0) - wanted);
    const long best = below <= above ? low : high;
    return best == 0 ? cell : moved(cell, key, start + best * unit);
}

struct Rest {  // largest relative differences from the baseline over the cells
    double params = 0, flops = 0, tokens = 0;

    void take(const SweepCell& cell, const SweepCell& base, SweepCosts& costs) {
        const auto off = [](double a, double b) { return b == 0 ? 0 : a / b - 1; };
        const auto larger = [](double& most, double x) {
            if (std::abs(x) > std::abs(most)) most = x;
        };
        const ShapeCost &c = costs.of(cell.config.config), &b = costs.of(base.config.config);
        larger(params, off(static_cast<double>(c.params), static_cast<double>(b.params)));
        larger(flops, off(total_flops(cell, costs), total_flops(base, costs)));
        larger(tokens,
               off(static_cast<double>(c.tokens_per_step * cell.config.config.train.steps),
                   static_cast<double>(b.tokens_per_step * base.config.config.train.steps)));
    }
};

void tell(const SweepFile& file, const Rest& rest, std::vector<std::string>& notes,
          std::vector<std::string>& warnings) {
    const auto percent = [](double x) { return fmt::format("{:+.1f} %", 100 * x); };
    const std::pair<const char*, double> all[]{
        {"tokens", rest.tokens}, {"params", rest.params}, {"flops", rest.flops}};
    std::string others, matched = name_of(file.match);
    for (const auto& [name, off] : all) {
        if (std::string_view(name) != name_of(file.match)) {
            others += fmt::format("{} ({}), ", name, percent(off));
            continue;
        }
        matched += off == 0 ? std::string(" exactly")
                            : fmt::format(" within {:.2f} %", 100 * std::abs(off));
        if (std::abs(off) > kNear)
            warnings.push_back(fmt::format("{} differ by up to {} after matching by {}", name,
                                           percent(off), file.match_by));
    }
    notes.push_back(fmt::format("matched {}{}; not matched, at most: {}{}", matched,
                                file.match_by.empty() ? "" : " by " + file.match_by, others,
                                file.match == SweepMatch::time ? "" : "time"));
    if (notes.back().ends_with(", ")) notes.back().resize(notes.back().size() - 2);
}

}  // namespace

const SweepCell* baseline_of(const SweepFile& file, const std::vector<SweepCell>& cells,
                             const SweepCell& cell) {
    for (const SweepCell& base : cells) {
        if (base.variant != file.baseline) continue;
        const bool agrees = std::all_of(base.point.begin(), base.point.end(), [&](const auto& p) {
            const auto at = cell.point.find(p.first);
            return at == cell.point.end() || at->second == p.second;
        });
        if (agrees) return &base;
    }
    return nullptr;
}

void match_cells(const SweepFile& file, std::vector<SweepCell>& cells, SweepCosts& costs,
                 std::vector<std::string>& notes, std::vector<std::string>& warnings) {
    if (file.match != SweepMatch::params && file.match_by != "train.steps" &&
        file.match != SweepMatch::tokens)
        throw UsageError(fmt::format("{}: match = \"{}\" moves train.steps, not {}",
                                     file.path.string(), name_of(file.match), file.match_by));
    const Calibration calibration = file.match == SweepMatch::time
                                        ? read_calibration(file.out / "calibration.toml")
                                        : Calibration{};
    Rest rest;
    bool compared = false;
    for (SweepCell& cell : cells) {
        if (cell.variant == file.baseline) continue;
        const SweepCell* base = baseline_of(file, cells, cell);
        if (base == nullptr) {
            warnings.push_back(fmt::format("{} has no baseline at its point", cell.variant));
            continue;
        }
        if (file.match == SweepMatch::params)
            cell = match_params(cell, file.match_by,
                                static_cast<double>(costs.of(base->config.config).params), costs);
        const auto steps = static_cast<double>(cell.config.config.train.steps);
        if (file.match == SweepMatch::flops)
            cell = moved(cell, file.match_by,
                         std::lround(steps * total_flops(*base, costs) / total_flops(cell, costs)));
        if (file.match == SweepMatch::time)
            cell = moved(cell, file.match_by, calibration.steps_of(cell, file.path));
        rest.take(cell, *base, costs);
        compared = true;
    }
    if (compared) tell(file, rest, notes, warnings);
}

}  // namespace plumb
