#include "sweep/sweep_plan.h"

#include "core/check.h"
#include "core/files.h"
#include "sweep/expand.h"
#include "sweep/match.h"
#include "sweep/plan_file.h"
#include "sweep/sweep_json.h"
#include "sweep/tune.h"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <set>

namespace plumb {
namespace {

// A run that two points stand for is made once, and counts for the first.
void drop_doubles(std::vector<PlannedRun>& runs, std::vector<std::string>& warnings) {
    std::map<std::string, std::string> seen;  // id -> variant
    std::set<std::string> told;
    std::erase_if(runs, [&](const PlannedRun& run) {
        const auto [at, fresh] = seen.emplace(run.id, run.variant);
        if (fresh) return false;
        const std::string text =
            at->second == run.variant
                ? fmt::format("{}: values of the grid that change no numbers are one run",
                              run.variant)
                : fmt::format("{} and {} have the same settings: their runs are one, counted as {}",
                              run.variant, at->second, at->second);
        if (told.insert(text).second) warnings.push_back(text);
        return true;
    });
}

long count_orphans(const std::vector<PlanLine>& lines, const std::vector<PlannedRun>& runs) {
    std::set<std::string> current;
    for (const PlannedRun& run : runs) current.insert(run.id);
    return std::count_if(lines.begin(), lines.end(),
                         [&](const PlanLine& line) { return !current.contains(line.id); });
}

// What --only and --seeds leave. Stage 1 keeps its seeds.
void restrict(SweepPlan& plan) {
    const SweepFile& file = plan.file;
    const auto out = [&](const PlannedRun& run) {
        const auto& seeds = file.only_seeds;
        return (!file.only.empty() && fnmatch(file.only.c_str(), run.variant.c_str(), 0) != 0) ||
               (!seeds.empty() && run.stage == "main" &&
                std::find(seeds.begin(), seeds.end(), run.seed) == seeds.end());
    };
    const bool had = !plan.runs.empty();
    std::erase_if(plan.runs, out);
    if (had && plan.runs.empty())
        throw UsageError(fmt::format("{}: --only and --seeds leave no run", file.path.string()));
}

int most_comparisons(const SweepFile& file, const std::vector<SweepCell>& cells) {
    std::map<const SweepCell*, int> count;
    int most = 0;
    for (const SweepCell& cell : cells)
        if (cell.variant != file.baseline)
            if (const SweepCell* base = baseline_of(file, cells, cell); base != nullptr)
                most = std::max(most, ++count[base]);
    return most;
}

// A condition that nothing meets is more likely a slip than meant.
void warn_of_idle(const SweepFile& file, const Met& met, std::vector<std::string>& warnings) {
    const auto warn = [&](const SweepCondition& condition, const char* table, const char* does) {
        if (!condition.empty() && !met.contains(&condition))
            warnings.push_back(fmt::format("{}: no run meets this [[{}]]: it {} nothing",
                                           condition.front().where, table, does));
    };
    for (const SweepWhen& when : file.when) warn(when.condition, "when", "sets");
    for (const SweepCondition& condition : file.exclude) warn(condition, "exclude", "drops");
}

SweepPlan plan_all(const SweepFile& file) {
    SweepPlan plan;
    plan.file = file;
    plan.notes = file.notes;
    const std::vector<PlanLine> lines = read_plan_file(file.out);
    SweepCosts costs;
    Met met;
    std::vector<SweepCell> cells = expand(file, costs, plan.notes, met);
    match_cells(file, cells, costs, plan.notes, plan.warnings);
    plan.comparisons = most_comparisons(file, cells);
    Staged staged = stage_runs(file, cells, costs, lines, met);
    plan.runs = std::move(staged.runs);
    plan.pending = std::move(staged.pending);
    plan.winners = std::move(staged.winners);
    plan.warnings.insert(plan.warnings.end(), staged.warnings.begin(), staged.warnings.end());
    warn_of_idle(file, met, plan.warnings);
    drop_doubles(plan.runs, plan.warnings);
    number_runs(plan.runs, lines, file.out);
    plan.orphans = count_orphans(lines, plan.runs);
    if (plan.orphans > 0 && plan.orphans == static_cast<long>(lines.size()))
        plan.warnings.push_back(fmt::format(
            "{} holds {} runs, and none is of this file: another sweep's, or all settings or the "
            "data have changed. They are left alone; --out DIR keeps the two apart",
            file.out.string(), lines.size()));
    if (plan.comparisons == 0 && cells.size() > 1)
        plan.notes.push_back(fmt::format(
            "nothing is compared: all runs are of the baseline {}. A [[variant]] for each value "
            "makes a comparison",
            file.baseline));
    return plan;
}

void write_if_other(const std::filesystem::path& path, const std::string& text) {
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored) && read_file(path) == text) return;
    write_file(path, text);
}

}  // namespace

SweepPlan make_plan(const SweepFile& file) {
    SweepPlan plan = plan_all(file);
    restrict(plan);
    return plan;
}

SweepPlan write_plan(const SweepFile& file) {
    SweepPlan plan = plan_all(file);
    append_to_plan_file(plan.runs, file.out);
    std::error_code ignored;
    const bool own = std::filesystem::equivalent(file.path, file.out / "sweep.toml", ignored);
    if (!own) write_if_other(file.out / "sweep.toml", file.text);
    write_if_other(file.out / "base.toml", to_toml(file.base.config));
    write_if_other(file.out / "sweep.json", sweep_json(plan).dump(1) + "\n");
    restrict(plan);
    return plan;
}

std::vector<PlannedRun> runs_at(const SweepPlan& plan, long first, long last) {
    std::vector<PlannedRun> out;
    for (long index = first; index <= last; ++index) {
        const auto at = std::find_if(plan.runs.begin(), plan.runs.end(),
                                     [&](const PlannedRun& run) { return run.index == index; });
        if (at == plan.runs.end())
            throw UsageError(fmt::format(
                "{}: no run has the index {}{}", plan.file.path.string(), index,
                plan.pending.empty()
                    ? "; the file no longer stands for it, or it never did (plumb sweep commands)"
                    : ": runs with tuned settings get theirs when the first stage has ended"));
        out.push_back(*at);
    }
    return out;
}

}  // namespace plumb
