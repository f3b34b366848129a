#include "sweep/sweep_json.h"

#include "config/numerics.h"

namespace plumb {
namespace {

using Json = nlohmann::ordered_json;

Json pending_json(const PendingRuns& p) {
    return {{"variant", p.variant},
            {"group", json_point(p.group)},
            {"runs", p.runs},
            {"tune_runs", p.tune_runs},
            {"tune_ended", p.tune_ended}};
}

Json tune_json(const SweepTune& tune, const std::vector<TuneWinner>& winners) {
    Json out{{"keys", Json::array()},
             {"values", Json::object()},
             {"seeds", tune.seeds},
             {"per", tune.per},
             {"winners", Json::array()}};
    for (const SweepAxis& axis : tune.axes) {
        out["keys"].push_back(axis.key);
        for (const SweepValue& v : axis.values)
            out["values"][axis.key].push_back(json_value(v.text));
    }
    for (const TuneWinner& w : winners)
        out["winners"].push_back({{"variant", w.variant},
                                  {"group", json_point(w.group)},
                                  {"chosen", json_point(w.chosen)},
                                  {"edge", w.edge},
                                  {"key", w.key}});
    return out;
}

}  // namespace

Json json_value(const std::string& toml_text) {
    Json value = Json::parse(toml_text, nullptr, false);
    return value.is_discarded() ? Json(toml_text) : value;
}

Json json_point(const SweepPoint& point) {
    Json out = Json::object();
    for (const auto& [key, text] : point) out[key] = json_value(text);
    return out;
}

Json run_json(const PlannedRun& run) {
    return {{"index", run.index >= 0 ? Json(run.index) : Json()},
            {"id", run.id},
            {"variant", run.variant},
            {"stage", run.stage},
            {"point", json_point(run.point)},
            {"seed", run.seed},
            {"numerics", numerics(run.config)},
            {"params", run.params},
            {"mixer_params", run.mixer_params},
            {"flops_per_token", run.flops_per_token},
            {"tokens", run.tokens},
            {"steps", run.config.train.steps},
            {"memory", run.memory},
            {"disk", run.disk}};
}

Json sweep_json(const SweepPlan& plan) {
    const SweepFile& f = plan.file;
    Json out{{"schema", 1},
             {"name", f.name},
             {"hypothesis", f.hypothesis},
             {"seeds", f.seeds},
             {"looks", f.looks},
             {"baseline", f.baseline},
             {"metric", f.metric},
             {"margin", f.margin},
             {"match", name_of(f.match)},
             {"match_by", f.match_by},
             {"keys", Json::array()},
             {"variants", Json::array()}};
    for (const auto* axes : {&f.grid, &f.zip})
        for (const SweepAxis& axis : *axes) out["keys"].push_back(axis.key);
    for (const SweepVariant& v : f.variants) {
        Json settings = Json::object();
        for (const PlacedSetting& s : v.settings) settings[s.key] = json_value(s.value);
        out["variants"].push_back({{"name", v.name}, {"settings", settings}});
    }
    out["tune"] = f.tune ? tune_json(*f.tune, plan.winners) : Json();
    out["cull"] = f.cull ? Json{{"at", f.cull->at}, {"drop_above", f.cull->drop_above}} : Json();
    out["current"] = Json::array();
    for (const PlannedRun& run : plan.runs) out["current"].push_back(run.id);
    out["pending"] = Json::array();
    for (const PendingRuns& p : plan.pending) out["pending"].push_back(pending_json(p));
    out["notes"] = plan.notes;
    out["warnings"] = plan.warnings;
    return out;
}

}  // namespace plumb
