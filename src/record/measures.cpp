#include "record/measures.h"

#include "core/check.h"
#include "mixers/layout.h"

namespace plumb {
namespace {
using enum MeasurePlace;
}

std::span<const Measure> measures() {
    static const std::vector<Measure> table = measure_table();
    return table;
}

const Measure& measure(const std::string& key) {
    for (const Measure& m : measures())
        if (m.key == key) return m;
    throw InternalError("no measure " + key);
}

std::vector<const Measure*> measures_of(MeasurePlace place) {
    std::vector<const Measure*> out;
    for (const Measure& m : measures())
        if (m.place == place) out.push_back(&m);
    return out;
}

std::string way_key(const std::string& key, int way) {
    return way == 0 ? key : fmt::format("{}.{}", key, way_name(way));
}

const char* place_name(MeasurePlace place) {
    constexpr const char* names[] = {"depth", "matrix", "summary", "metrics", "outcome", "timing"};
    return names[static_cast<std::size_t>(place)];
}

const char* place_text(MeasurePlace place) {
    constexpr const char* texts[] = {"in depth.jsonl",        "in matrix/step_*.safetensors",
                                     "computed from a probe", "in metrics.jsonl",
                                     "in summary.json",       "in timing.json"};
    return texts[static_cast<std::size_t>(place)];
}

const char* comparable_text(const Measure& m) {
    return m.comparable ? "comparable" : "this mixer only";
}

nlohmann::ordered_json to_json(const Measure& m) {
    nlohmann::ordered_json json{{"key", m.key},
                                {"name", m.name},
                                {"unit", m.unit},
                                {"meaning", m.meaning},
                                {"reduction", m.reduction},
                                {"comparable", m.comparable},
                                {"place", place_name(m.place)}};
    if (m.better != Better::neither) json["better"] = m.better == Better::less ? "less" : "more";
    return json;
}

std::string description(const Measure& m) {
    return fmt::format("{} ({}). {} Unit: {}. {}.", m.name, comparable_text(m), m.meaning, m.unit,
                       m.reduction);
}

nlohmann::ordered_json to_json(long step, const DepthRecord& r) {
    nlohmann::ordered_json out{
        {"step", step}, {"depth", r.depth}, {"site", r.site}, {"kind", r.kind}};
    for (const Measure* m : measures_of(depth)) {
        if (m->list)
            out[m->key] = m->list(r);
        else if (const std::optional<double> value = r.*m->field)
            out[m->key] = *value;
    }
    return out;
}

}  // namespace plumb
