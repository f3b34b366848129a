#include "sweep/sweep_status.h"

#include "config/numerics.h"
#include "core/json.h"
#include "core/text.h"
#include "sweep/plan_file.h"
#include "sweep/sweep_results.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace plumb {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

std::string group_text(const Json& pending, const std::string& file) {
    std::string text = json_or<std::string>(pending, "variant", "", file);
    const auto group = pending.find("group");
    if (group == pending.end() || !group->is_object()) return text;
    for (const auto& [key, value] : group->items())
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key.substr(key.rfind('.') + 1),
                            value.is_string() ? value.get<std::string>() : value.dump());
    return text;
}

// chosen: the settings of its line that are not at their default.
void look_at(StatusRun& run, const fs::path& folder, const Json& chosen) {
    const RunLook look = look_at_run(folder / run.dir);
    run.word = look.word;
    run.holder = look.holder;
    if (run.word == RunWord::fresh) return;
    run.origin = origin_of(folder / run.dir);
    run.outdated = is_outdated(run.origin, numerics(chosen));
}

StatusRun status_run(const PlanLine& line, const std::string& file) {
    return {line.index,
            line.id,
            line.variant,
            line.stage,
            line.dir,
            line.seed,
            json_or<std::int64_t>(line.json, "steps", 0, file),
            json_or<double>(line.json, "flops_per_token", 0, file),
            json_or<double>(line.json, "tokens", 0, file)};
}

Json origins(const std::vector<StatusRun>& runs, std::string RunOrigin::*what) {
    Json out = Json::object();
    for (const StatusRun& run : runs)
        if (const std::string& name = run.origin.*what; !name.empty())
            out[name] = out.value(name, 0) + 1;
    return out;
}

}  // namespace

SweepStatus read_status(const fs::path& folder) {
    const fs::path file = folder / "sweep.json";
    std::error_code ignored;
    if (!fs::exists(file, ignored))
        throw UsageError(
            fmt::format("{} holds no sweep that was begun; `plumb sweep plan FILE` shows its runs, "
                        "`plumb sweep "
                        "run FILE` makes them",
                        folder.string()));
    const Json json = read_json_object(file);
    const std::string name = file.string();
    SweepStatus status{folder,
                       json_or<std::string>(json, "name", "", name),
                       json_or<std::string>(json, "hypothesis", "", name),
                       json_or<std::string>(json, "metric", "final_val_loss", name),
                       {},
                       {},
                       0};
    std::set<std::string> current;
    if (const auto ids = json.find("current"); ids != json.end() && ids->is_array())
        for (const Json& id : *ids)
            if (id.is_string()) current.insert(id.get<std::string>());
    for (const PlanLine& line : read_plan_file(folder)) {
        if (!current.contains(line.id)) {
            ++status.orphans;
            continue;
        }
        status.runs.push_back(status_run(line, (folder / "plan.jsonl").string()));
        look_at(status.runs.back(), folder, line.json.value("settings", Json::object()));
    }
    if (const auto pending = json.find("pending"); pending != json.end() && pending->is_array())
        for (const Json& p : *pending)
            status.pending.push_back({group_text(p, name),
                                      json_or<std::int64_t>(p, "runs", 0, name),
                                      json_or<std::int64_t>(p, "tune_runs", 0, name),
                                      json_or<std::int64_t>(p, "tune_ended", 0, name)});
    return status;
}

SweepSnapshot snapshot_of(const SweepStatus& status) {
    SweepSnapshot s;
    s.name = status.name;
    SweepCounts& c = s.counts;
    BestResult best;
    double all = 0, done = 0, per_second = 0;
    for (const StatusRun& run : status.runs) {
        const fs::path dir = status.folder / run.dir;
        const double flops = run.flops_per_token * run.tokens, weight = flops > 0 ? flops : 1;
        ++c.total;
        all += weight;
        if (is_over(run.word)) done += weight;
        if (run.word == RunWord::done) {
            ++c.done;
            best.add(result_of(dir, status.metric), run.stage, run.variant, run.seed);
        } else if (run.word == RunWord::failed) {
            ++c.failed;
            s.failed.push_back({run.dir, last_words(dir), (dir / kLogName).string(), 0, 0, true});
        } else if (is_held(run.word)) {
            const RunPace pace = pace_of(dir);
            ++(run.word == RunWord::running ? c.running : c.elsewhere);
            if (run.steps > 0 && pace.step > 0)
                done += weight * static_cast<double>(pace.step) / static_cast<double>(run.steps);
            per_second += pace.tokens_per_s * (flops > 0 ? run.flops_per_token : 0);
            s.running.push_back(
                {run.dir, pace.step, run.steps, pace.loss, pace.tokens_per_s,
                 run.holder ? fmt::format("pid {} on {}", run.holder->pid, run.holder->host) : ""});
        } else if (run.word == RunWord::diverged || run.word == RunWord::culled) {
            ++(run.word == RunWord::diverged ? c.diverged : c.culled);
        } else {
            ++c.queued;
            if (run.word != RunWord::fresh && run.steps > 0)
                done += weight * static_cast<double>(std::max(0L, pace_of(dir).step)) /
                        static_cast<double>(run.steps);
        }
    }
    s.fraction = all > 0 ? done / all : 0;
    if (per_second > 0) s.eta_s = (all - done) / per_second;
    s.best = best.text();
    return s;
}

Json to_json(const SweepStatus& status) {
    const SweepSnapshot s = snapshot_of(status);
    Json counts = Json::object(), runs = Json::array(), pending = Json::array();
    for (int w = 0; w < kRunWords; ++w) {
        const auto word = static_cast<RunWord>(w);
        counts[text_of(word)] = std::count_if(status.runs.begin(), status.runs.end(),
                                              [&](const auto& run) { return run.word == word; });
    }
    for (const StatusRun& run : status.runs) {
        runs.push_back({{"index", run.index},
                        {"id", run.id},
                        {"variant", run.variant},
                        {"stage", run.stage},
                        {"seed", run.seed},
                        {"dir", run.dir},
                        {"status", text_of(run.word)},
                        {"outdated", run.outdated}});
        if (run.word == RunWord::failed) runs.back()["why"] = last_words(status.folder / run.dir);
    }
    for (const StatusPending& p : status.pending)
        pending.push_back({{"group", p.group},
                           {"runs", p.runs},
                           {"tune_runs", p.tune_runs},
                           {"tune_ended", p.tune_ended}});
    return {{"schema", 1},
            {"name", status.name},
            {"folder", status.folder.string()},
            {"counts", counts},
            {"fraction", s.fraction},
            {"eta_s", std::isnan(s.eta_s) ? Json() : Json(s.eta_s)},
            {"best", s.best},
            {"orphans", status.orphans},
            {"commits", origins(status.runs, &RunOrigin::commit)},
            {"devices", origins(status.runs, &RunOrigin::device)},
            {"pending", pending},
            {"runs", runs}};
}

}  // namespace plumb
