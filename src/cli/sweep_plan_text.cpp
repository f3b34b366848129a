#include "cli/sweep_plan_text.h"

#include "cli/dry_run.h"
#include "cli/terminal.h"
#include "core/text.h"
#include "core/threads.h"
#include "run/attempts.h"
#include "run/run.h"
#include "sweep/expand.h"
#include "sweep/noise.h"
#include "sweep/outcome.h"
#include "sweep/plan_file.h"
#include "sweep/power.h"
#include "sweep/sweep_json.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace plumb {
namespace {

using Json = nlohmann::ordered_json;

struct CostRow {
    const PlannedRun* first;
    long runs = 0, ended = 0;
    double seconds = 0;  // of one run, 0: not known
    long timed = 0;      // ended runs that say how long they took
};

// Runs that differ in the seed alone.
std::vector<CostRow> rows_of(const SweepPlan& plan) {
    std::vector<CostRow> rows;
    std::map<std::string, std::size_t> at;
    for (const PlannedRun& run : plan.runs) {
        std::string key = run.stage + "\n" + run.variant;
        for (const auto& [k, v] : run.point) key += "\n" + k + "=" + v;
        const auto [found, fresh] = at.emplace(key, rows.size());
        if (fresh) rows.push_back({&run});
        CostRow& row = rows[found->second];
        ++row.runs;
        if (!ended_run(run.dir, plan.file.metric)) continue;
        ++row.ended;
        if (const RunTimes times = run_times(run.dir); times.seconds > 0) {
            row.seconds += times.seconds;
            ++row.timed;
        }
    }
    for (CostRow& row : rows)
        if (row.timed > 0) row.seconds /= static_cast<double>(row.timed);
    return rows;
}

// Where no run of a row has ended: from runs that have, by FLOPs; else from the rate of products.
void estimate(std::vector<CostRow>& rows) {
    double flops = 0, seconds = 0;
    const auto flops_of = [](const CostRow& r) {
        return r.first->tokens * r.first->flops_per_token;
    };
    for (const CostRow& row : rows)
        if (row.timed > 0) {
            flops += flops_of(row);
            seconds += row.seconds;
        }
    Context context;
    context.threads = 1;
    std::map<std::string, double> rates;
    for (CostRow& row : rows) {
        if (row.seconds > 0) continue;
        double rate = seconds > 0 ? flops / seconds : 0;
        if (rate == 0) {
            const Config& c = row.first->config;
            const std::string shape = fmt::format("{} {} {}", c.train.batch * c.model.context,
                                                  c.model.width, c.train.precision);
            if (!rates.contains(shape) && rates.size() < 8) {
                set_up_threads(context);
                rates[shape] = training_gemm_rate(context, c, 0.1);
            }
            const auto at = rates.find(shape);
            rate = kAssumedShare * (at != rates.end() ? at->second : rates.begin()->second);
        }
        row.seconds = flops_of(row) / rate;
    }
}

std::string value_cell(const CostRow& row, const std::string& key) {
    const auto at = row.first->point.find(key);
    if (at == row.first->point.end()) return "-";
    std::string text = printable_line(at->second);
    std::erase(text, '"');
    return text;
}

void print_rows(const SweepPlan& plan, const std::vector<CostRow>& rows) {
    std::set<std::string> keys;
    for (const CostRow& row : rows)
        for (const auto& [key, ignored] : row.first->point) keys.insert(key);
    const bool stages = plan.file.tune.has_value();
    std::vector<std::string> titles;
    if (stages) titles.emplace_back("stage");
    titles.emplace_back("variant");
    for (const std::string& key : keys) titles.push_back(">" + short_key(key));
    for (const char* t : {">params", ">FLOPs/tok", ">steps", ">memory", ">runs", ">ended", ">each"})
        titles.emplace_back(t);
    Table table(titles);
    for (const CostRow& row : rows) {
        const PlannedRun& run = *row.first;
        std::vector<std::string> cells;
        if (stages) cells.push_back(run.stage);
        cells.push_back(printable_line(run.variant));
        for (const std::string& key : keys) cells.push_back(value_cell(row, key));
        for (const std::string& cell :
             {thousands(run.params), fmt::format("{:.2g}", run.flops_per_token),
              thousands(run.config.train.steps), human_bytes(run.memory), thousands(row.runs),
              thousands(row.ended), human_seconds(row.seconds)})
            cells.push_back(cell);
        table.add(cells);
    }
    fmt::print("{}", table.text());
    for (const PendingRuns& p : plan.pending) {
        std::string what = p.variant;
        for (const auto& [key, text] : p.group)
            what += fmt::format(" {}={}", short_key(key), printable_line(text));
        fmt::print("then     {} runs of {} with what the first stage chooses ({} of {} ended)\n",
                   p.runs, printable_line(what), p.tune_ended, p.tune_runs);
    }
}

// Lines of at most the terminal's width, the first behind a word.
void print_wrapped(const std::string& word, const std::string& text) {
    const int width = Terminal::of(stdout).width;
    bool first = true;
    for (const std::string& line : wrap(text, width - 9)) {
        fmt::print("{:<9}{}\n", first ? word : "", line);
        first = false;
    }
}

void print_power(const SweepPlan& plan) {
    const SweepFile& f = plan.file;
    const int comparisons = plan.comparisons;
    const int seeds = static_cast<int>(f.seeds.size());
    if (comparisons < 1) return;
    const PowerQuestion question{comparisons, static_cast<int>(f.looks.size())};
    if (seeds < 3) {
        print_wrapped("power", fmt::format("{} seeds: too few for a test or a verdict; take 5 or "
                                           "more",
                                           seeds));
        return;
    }
    const double effect = smallest_effect(seeds, question);
    std::string text = fmt::format(
        "{} seeds, {} comparison{} in a table: finds a difference of {:.1f} sd of a paired "
        "difference with 80 % power",
        seeds, comparisons, comparisons == 1 ? "" : "s", effect);
    const std::optional<Noise> noise = find_noise(plan);
    if (!noise) {
        print_wrapped("power",
                      text + fmt::format("; `plumb sweep noise` measures that sd ({} seeds of the "
                                         "baseline)",
                                         kNoiseSeeds));
        return;
    }
    // Of unpaired seeds: what pairing gains is not known before.
    const double sd = std::sqrt(2.0) * noise->sd;
    print_wrapped("power",
                  text + fmt::format(", about {:.2g} (sd {:.2g} of {} seeds in {}, times 1.4 as if "
                                     "pairing gained nothing)",
                                     effect * sd, noise->sd, noise->n, noise->where));
    if (f.margin > 0 && effect * sd > f.margin)
        print_wrapped("", fmt::format("warning: a difference of the margin {} needs about {} seeds",
                                      f.margin, seeds_needed(f.margin / sd, question)));
}

void print_total(const SweepPlan& plan, const std::vector<CostRow>& rows) {
    double seconds = 0, disk = 0, flops = 0;
    long runs = 0, ended = 0;
    for (const CostRow& row : rows) {
        const auto left = static_cast<double>(row.runs - row.ended);
        seconds += left * row.seconds;
        flops += static_cast<double>(row.runs) * row.first->tokens * row.first->flops_per_token;
        disk += static_cast<double>(row.runs) * row.first->disk;
        runs += row.runs;
        ended += row.ended;
    }
    const int jobs = choose_threads(0).n;
    print_wrapped("total",
                  fmt::format("{} runs ({} ended), {:.1e} FLOPs, {:.2g} core hours left: about {} "
                              "with -j {}; disk {}{}",
                              runs, ended, flops, seconds / 3600, human_seconds(seconds / jobs),
                              jobs, human_bytes(disk),
                              plan.pending.empty() ? "" : "; the second stage comes on top"));
    if (plan.orphans > 0)
        print_wrapped("orphans", fmt::format("{} runs that the file no longer stands for: left "
                                             "alone, and out of compare",
                                             plan.orphans));
}

Json with_end(const PlannedRun& run, const std::string& metric) {
    const auto end = ended_run(run.dir, metric);
    Json json = run_json(run);
    json["dir"] = run.dir.string();
    json["ended"] = end.has_value();
    json["completed"] = end && end->completed;
    return json;
}

}  // namespace

void print_plan(const SweepPlan& plan, const TypedSweep& typed) {
    if (!plan.file.hypothesis.empty())
        print_wrapped("question", printable_line(plan.file.hypothesis));
    std::vector<CostRow> rows = rows_of(plan);
    estimate(rows);
    print_rows(plan, rows);
    for (const std::string& note : plan.notes) print_wrapped("note", printable_line(note));
    for (const TuneWinner& w : plan.winners) {
        std::string text = w.variant;
        for (const auto& [key, value] : w.group)
            text += fmt::format(" {}={}", short_key(key), value);
        text += ": ";
        for (const auto& [key, value] : w.chosen) text += fmt::format("{} {} ", key, value);
        print_wrapped("chosen", printable_line(text));
    }
    for (const std::string& text : plan.warnings) print_wrapped("warning", printable_line(text));
    print_power(plan);
    print_total(plan, rows);
    const bool over = plan.pending.empty() &&
                      std::all_of(rows.begin(), rows.end(),
                                  [](const CostRow& row) { return row.ended == row.runs; });
    fmt::print("{:<9}{}\n", "next",  // on one line, so that it can be pasted
               over ? "plumb compare " + shell_quoted(plan.file.out.string())
                    : typed.command("run") + fmt::format(" -j {}", choose_threads(0).n));
}

void print_plan_json(const SweepPlan& plan, bool lines) {
    if (lines) {
        for (const PlannedRun& run : plan.runs)
            fmt::print("{}\n", with_end(run, plan.file.metric).dump());
        return;
    }
    Json out{{"sweep", sweep_json(plan)}, {"runs", Json::array()}};
    for (const PlannedRun& run : plan.runs) out["runs"].push_back(with_end(run, plan.file.metric));
    fmt::print("{}\n", out.dump(1));
}

}  // namespace plumb
