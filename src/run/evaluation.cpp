#include "run/evaluation.h"

#include "mixers/layout.h"
#include "run/run_directory.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace plumb {
namespace {

std::string site_or_sites(const std::string& typed, const Layout& layout) {
    if (typed.find_first_not_of("0123456789") != typed.npos) return typed;
    return layout.name(std::stoi(typed));
}

std::vector<Intervention> one_at_a_time(const std::string& kind, const Layout& layout) {
    std::vector<Intervention> out;
    const auto add = [&](const std::string& typed, auto&& apply) {
        const std::string name = kind == "swap" ? typed : site_or_sites(typed, layout);
        out.push_back({fmt::format("{} {}", kind, name), Interventions(layout), {}});
        apply(out.back().what, typed);
    };
    if (kind == "swap") {
        for (int b = 0; b + 1 < layout.blocks(); ++b)
            add(Layout::block_name(b) + "," + Layout::block_name(b + 1), add_swap);
        return out;
    }
    for (int l = kind == "drop" ? 1 : 0; l <= layout.sublayers(); ++l)
        add(std::to_string(l), kind == "drop" ? add_drop : add_mask);
    return out;
}

Intervention combined(const InterventionOptions& o, const Layout& layout) {
    Intervention all{"", Interventions(layout), {}};
    const auto add = [&](const char* kind, const std::vector<std::string>& list, auto&& apply) {
        for (const std::string& typed : list) {
            apply(all.what, typed);
            all.name += fmt::format("{}{} {}", all.name.empty() ? "" : "; ", kind, typed);
        }
    };
    add("swap", o.swap, add_swap);
    add("gain", o.gain, add_gain);
    add("drop", o.drop, add_drop);
    add("mask", o.mask, add_mask);
    return all;
}

// Values of the config that tell runs apart, seeds and what is only recorded left out.
std::map<std::string, std::string> identity(const RunScore& run) {
    std::map<std::string, std::string> out{{"step", std::to_string(run.step)}};
    for (const auto& [key, value] : values(run.config))
        if (key.find("seed") == key.npos && !key.starts_with("record.")) out[key] = value;
    return out;
}

// Adds to labels that are alike what tells their groups apart.
void tell_apart(std::vector<SeedGroup>& groups) {
    std::map<std::string, std::vector<SeedGroup*>> alike;
    for (SeedGroup& g : groups) alike[g.label].push_back(&g);
    for (const auto& [label, same] : alike) {
        if (same.size() < 2) continue;
        std::map<std::string, std::set<std::string>> seen;
        for (const SeedGroup* g : same)
            for (const auto& [key, value] : identity(*g->runs.front())) seen[key].insert(value);
        for (SeedGroup* g : same) {
            const auto own = identity(*g->runs.front());
            for (const auto& [key, seen_values] : seen)
                if (seen_values.size() > 1)
                    g->label += fmt::format(" {}={}", key, own.contains(key) ? own.at(key) : "-");
        }
    }
}

nlohmann::ordered_json number(double x) {
    return std::isfinite(x) ? nlohmann::ordered_json(x) : nlohmann::ordered_json();
}

nlohmann::ordered_json to_json(const MeanInterval& m) {
    return {{"mean", number(m.mean)}, {"half_width", number(m.half_width)}};
}

nlohmann::ordered_json to_json(const Change& change, double loss) {
    nlohmann::ordered_json out{{"name", change.name},
                               {"loss", number(change.loss)},
                               {"delta", number(change.loss - loss)}};
    if (change.controls.empty()) return out;
    for (const double control : change.controls)
        out["control_deltas"].push_back(number(control - loss));
    return out;
}

}  // namespace

std::vector<Intervention> interventions(const InterventionOptions& o, const Layout& layout) {
    std::vector<std::string> all;
    for (const auto& [kind, list] :
         {std::pair{"drop", &o.drop}, {"mask", &o.mask}, {"swap", &o.swap}})
        if (std::find(list->begin(), list->end(), "all") != list->end()) all.emplace_back(kind);
    const std::size_t asked = o.drop.size() + o.mask.size() + o.swap.size() + o.gain.size();
    if (!all.empty() && asked > 1)
        throw UsageError(fmt::format(
            "--{} all is a list of interventions, one at a time; give nothing beside it",
            all.front()));
    std::vector<Intervention> out;
    if (!all.empty())
        out = one_at_a_time(all.front(), layout);
    else if (asked > 0)
        out.push_back(combined(o, layout));
    if (o.controls < 0) throw UsageError("--controls: must not be negative");
    for (Intervention& i : out) {
        const bool drops =
            std::find(i.what.gain.begin(), i.what.gain.end(), 0.0) != i.what.gain.end();
        if (!drops && !i.what.masks()) continue;
        for (int k = 0; k < o.controls; ++k)
            i.controls.push_back(random_control(i.what, static_cast<std::uint64_t>(o.seed), k));
    }
    if (o.controls > 0 && (out.empty() || out.front().controls.empty()))
        throw UsageError(
            "--controls: random drops or masks to compare with; give --drop or --mask");
    return out;
}

void score_run(const Context& ctx, Model<float>& model, const Dataset& data,
               const std::vector<Intervention>& changes, Index n_sequences,
               const std::function<void(double)>& progress, RunScore& out) {
    double passes = 1, done = 0;
    for (const Intervention& i : changes) passes += 1.0 + static_cast<double>(i.controls.size());
    const auto score = [&](const Interventions* what) {
        model.intervene(what);
        const Evaluation e =
            evaluate(ctx, model, data, n_sequences > 0 ? n_sequences : data.val_sequences(),
                     nullptr, [&](double share) {
                         if (progress) progress((done + share) / passes);
                     });
        done += 1;
        return e;
    };
    out.score = score(nullptr);
    out.bits_per_byte = bits_per_byte(data, out.score.loss);
    for (const Intervention& i : changes) {
        Change change{i.name, score(&i.what).loss, {}};
        for (const Interventions& control : i.controls)
            change.controls.push_back(score(&control).loss);
        out.changes.push_back(std::move(change));
    }
    model.intervene(nullptr);
}

std::vector<SeedGroup> group_by_seed(const std::vector<RunScore>& runs) {
    std::vector<SeedGroup> groups;
    for (const RunScore& run : runs) {
        const auto same = std::find_if(groups.begin(), groups.end(), [&](const SeedGroup& g) {
            return identity(*g.runs.front()) == identity(run);
        });
        if (same != groups.end())
            same->runs.push_back(&run);
        else
            groups.push_back({run_label(run.config), {&run}, {}, {}, {}});
    }
    const auto over_runs = [](const SeedGroup& g, auto&& value) {
        std::vector<double> all;
        for (const RunScore* run : g.runs) all.push_back(value(*run));
        return mean_interval(all);
    };
    for (SeedGroup& g : groups) {
        g.loss = over_runs(g, [](const RunScore& r) { return r.score.loss; });
        if (g.runs.front()->bits_per_byte)
            g.bits_per_byte = over_runs(g, [](const RunScore& r) { return *r.bits_per_byte; });
        for (std::size_t k = 0; k < g.runs.front()->changes.size(); ++k)
            g.deltas.push_back(
                over_runs(g, [k](const RunScore& r) { return r.changes[k].loss - r.score.loss; }));
    }
    tell_apart(groups);
    return groups;
}

nlohmann::ordered_json to_json(const std::vector<RunScore>& runs,
                               const std::vector<SeedGroup>& groups) {
    nlohmann::ordered_json out{{"runs", nlohmann::ordered_json::array()},
                               {"groups", nlohmann::ordered_json::array()}};
    for (const RunScore& r : runs) {
        nlohmann::ordered_json run{{"run", r.run},
                                   {"step", r.step},
                                   {"mixer", r.config.mixer.name},
                                   {"label", run_label(r.config)},
                                   {"seed", r.config.train.seed},
                                   {"sequences", r.score.sequences},
                                   {"tokens", r.score.tokens},
                                   {"loss", number(r.score.loss)}};
        if (r.bits_per_byte) run["bits_per_byte"] = number(*r.bits_per_byte);
        for (const Change& change : r.changes)
            run["changes"].push_back(to_json(change, r.score.loss));
        out["runs"].push_back(std::move(run));
    }
    for (const SeedGroup& g : groups) {
        nlohmann::ordered_json group{
            {"label", g.label}, {"n", g.runs.size()}, {"loss", to_json(g.loss)}};
        if (g.bits_per_byte) group["bits_per_byte"] = to_json(*g.bits_per_byte);
        for (std::size_t k = 0; k < g.deltas.size(); ++k) {
            nlohmann::ordered_json delta = to_json(g.deltas[k]);
            delta["name"] = g.runs.front()->changes[k].name;
            group["deltas"].push_back(std::move(delta));
        }
        out["groups"].push_back(std::move(group));
    }
    return out;
}

}  // namespace plumb
