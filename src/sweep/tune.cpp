#include "sweep/tune.h"

#include "core/check.h"
#include "sweep/outcome.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumb {
namespace {

// Never the test split: what is chosen on it would be reported on it.
constexpr const char* kChooses = "final_val_loss";

using Candidate = std::vector<PlacedSetting>;

bool less(const SweepValue& a, const SweepValue& b) {
    char *end_a = nullptr, *end_b = nullptr;
    const double x = std::strtod(a.text.c_str(), &end_a);
    const double y = std::strtod(b.text.c_str(), &end_b);
    return *end_a == '\0' && *end_b == '\0' && x < y;
}

// Every combination of tuned values, numbers ascending, so that of equals the smaller wins; keys
// that no cell of the group reads are left out, and so is what [[exclude]] drops at any of the
// cells: candidates are compared over the same cells.
std::vector<Candidate> candidates(const SweepFile& file, const std::vector<const SweepCell*>& cells,
                                  SweepCosts& costs, Met& met) {
    std::vector<Candidate> out{{}};
    for (const SweepAxis& axis : file.tune->axes) {
        const bool read = std::any_of(cells.begin(), cells.end(), [&](const SweepCell* cell) {
            return reads(cell->config.config, axis.key, costs);
        });
        if (!read) continue;
        std::vector<SweepValue> values = axis.values;
        std::stable_sort(values.begin(), values.end(), less);
        std::vector<Candidate> next;
        for (const Candidate& c : out)
            for (const SweepValue& v : values) {
                next.push_back(c);
                next.back().push_back({axis.key, v.typed, axis.where});
            }
        out = std::move(next);
    }
    std::erase_if(out, [&](const Candidate& candidate) {
        return std::any_of(cells.begin(), cells.end(), [&](const SweepCell* cell) {
            return excluded(file, with_tuned(*cell, candidate, costs).config.config, true, met);
        });
    });
    if (out.empty())
        throw UsageError(fmt::format("{}: [[exclude]] drops every value of [tune] for {}",
                                     file.path.string(), cells.front()->variant));
    return out;
}

struct Tuned {
    std::string variant;  // "" if per lacks it
    SweepPoint point;     // the keys of per
    std::vector<const SweepCell*> cells;
};

std::vector<Tuned> groups_of(const SweepTune& tune, const std::vector<SweepCell>& cells) {
    std::vector<Tuned> groups;
    for (const SweepCell& cell : cells) {
        Tuned own;
        for (const std::string& key : tune.per) {
            if (key == "variant") own.variant = cell.variant;
            if (const auto at = cell.point.find(key); at != cell.point.end())
                own.point[key] = at->second;
        }
        const auto at = std::find_if(groups.begin(), groups.end(), [&](const Tuned& g) {
            return g.variant == own.variant && g.point == own.point;
        });
        Tuned& group = at == groups.end() ? groups.emplace_back(own) : *at;
        group.cells.push_back(&cell);
    }
    return groups;
}

std::string name_of(const Tuned& group) {
    std::string out = group.variant.empty() ? "all variants" : group.variant;
    for (const auto& [key, text] : group.point) out += fmt::format(" {}={}", short_key(key), text);
    return out;
}

// "largest" or "smallest" if the chosen value of a key is at an end of those tried beside it, the
// other keys as chosen.
void note_edge(const std::vector<Candidate>& all, const Candidate& best, TuneWinner& winner,
               const std::string& group, std::vector<std::string>& warnings) {
    const auto number = [](const PlacedSetting& s) {
        return std::strtod(s.value.c_str(), nullptr);
    };
    for (std::size_t k = 0; k < best.size(); ++k) {
        if (!winner.chosen.contains(best[k].key)) continue;
        std::vector<double> tried;
        for (const Candidate& c : all) {
            bool beside = true;
            for (std::size_t j = 0; j < best.size(); ++j)
                beside = beside && (j == k || c[j].value == best[j].value);
            if (beside) tried.push_back(number(c[k]));
        }
        const double chosen = number(best[k]);
        const auto [low, high] = std::minmax_element(tried.begin(), tried.end());
        if (tried.size() < 2 || *low == *high || (chosen != *low && chosen != *high)) continue;
        winner.edge = chosen == *high ? "largest" : "smallest";
        winner.key = best[k].key;
        warnings.push_back(fmt::format(
            "{} {} is the {} tried for {}: the best may lie beyond; add a value to [tune]",
            winner.key, winner.chosen.at(winner.key), winner.edge, group));
    }
}

// The scores of the first stage by candidate; counts of runs and ended ones go to `pending`.
std::vector<std::vector<double>> score(const SweepFile& file, const Tuned& group,
                                       const std::vector<Candidate>& all, SweepCosts& costs,
                                       const std::vector<PlanLine>& lines, Staged& out,
                                       PendingRuns& pending) {
    std::vector<std::vector<double>> scores;
    for (const Candidate& candidate : all) {
        scores.emplace_back();
        for (const SweepCell* cell : group.cells) {
            std::vector<PlannedRun> runs =
                runs_of(with_tuned(*cell, candidate, costs), "tune", file.tune->seeds, costs);
            number_runs(runs, lines, file.out);
            for (PlannedRun& run : runs) {
                ++pending.tune_runs;
                if (const auto end = ended_run(run.dir, kChooses)) {
                    ++pending.tune_ended;
                    scores.back().push_back(
                        end->metric.value_or(std::numeric_limits<double>::infinity()));
                }
                out.runs.push_back(std::move(run));
            }
        }
    }
    return scores;
}

void append(std::vector<PlannedRun>& to, std::vector<PlannedRun> runs) {
    for (PlannedRun& run : runs) to.push_back(std::move(run));
}

}  // namespace

std::optional<std::size_t> best_candidate(const std::vector<std::vector<double>>& scores) {
    std::optional<std::size_t> best;
    double lowest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < scores.size(); ++i) {
        double mean = 0;
        for (const double s : scores[i]) mean += s / static_cast<double>(scores[i].size());
        if (!scores[i].empty() && mean < lowest) {
            lowest = mean;
            best = i;
        }
    }
    return best;
}

Staged stage_runs(const SweepFile& file, const std::vector<SweepCell>& cells, SweepCosts& costs,
                  const std::vector<PlanLine>& lines, Met& met) {
    Staged out;
    std::vector<PlannedRun> main_runs;
    if (!file.tune) {
        for (const SweepCell& cell : cells)
            append(main_runs, runs_of(cell, "main", file.seeds, costs));
        out.runs = std::move(main_runs);
        return out;
    }
    for (const Tuned& group : groups_of(*file.tune, cells)) {
        const std::vector<Candidate> all = candidates(file, group.cells, costs, met);
        PendingRuns pending{group.variant, group.point,
                            static_cast<long>(group.cells.size() * file.seeds.size()), 0, 0};
        const auto scores = score(file, group, all, costs, lines, out, pending);
        const auto best =
            pending.tune_ended == pending.tune_runs ? best_candidate(scores) : std::nullopt;
        if (!best) {
            if (pending.tune_ended == pending.tune_runs)
                out.warnings.push_back(fmt::format(
                    "{}: every value of [tune] diverged, so nothing can be chosen; add others",
                    name_of(group)));
            out.pending.push_back(pending);
            continue;
        }
        TuneWinner winner{group.variant, group.point, {}, "", ""};
        for (const SweepCell* cell : group.cells) {
            const SweepCell tuned = with_tuned(*cell, all[*best], costs);
            for (const PlacedSetting& s : all[*best])
                if (const auto at = tuned.point.find(s.key); at != tuned.point.end())
                    winner.chosen[s.key] = at->second;
            append(main_runs, runs_of(tuned, "main", file.seeds, costs));
        }
        note_edge(all, all[*best], winner, name_of(group), out.warnings);
        out.winners.push_back(std::move(winner));
    }
    append(out.runs, std::move(main_runs));
    return out;
}

}  // namespace plumb
