#include "sweep/noise.h"

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "sweep/expand.h"
#include "sweep/identity.h"
#include "sweep/outcome.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

fs::path noise_path(const SweepFile& file) { return file.out.parent_path() / "noise.json"; }

// What the noise may depend on: everything but the seed, the rate and names.
std::string shape_of(const PlannedRun& run, const std::string& metric) {
    Config config = run.config;
    config.train.seed = 1;
    config.train.lr = TrainConfig{}.lr;
    return metric + " " + run_id(config, "");
}

const PlannedRun* first_of_baseline(const SweepPlan& plan) {
    for (const PlannedRun& run : plan.runs)
        if (run.variant == plan.file.baseline) return &run;
    return nullptr;
}

}  // namespace

NoiseSweep noise_sweep(const SweepFile& file) {
    std::vector<std::string> ignored;
    SweepCosts costs;
    Met met;
    const std::vector<SweepCell> cells = expand(file, costs, ignored, met);
    const auto cell = std::find_if(cells.begin(), cells.end(),
                                   [&](const SweepCell& c) { return c.variant == file.baseline; });
    if (cell == cells.end())
        throw UsageError(fmt::format("{}: the baseline {} is excluded everywhere",
                                     file.path.string(), file.baseline));
    const std::string name = Json(file.baseline).dump();
    return {
        cell->config.config,
        fmt::format("# How much does the seed alone move {} of {}, the baseline of {}?\n"
                    "[sweep]\nbase = \"base.toml\"\nseeds = \"1..{}\"\nmetric = \"{}\"\n"
                    "baseline = {}\n\n[[variant]]\nname = {}\n",
                    file.metric, file.baseline, file.name, kNoiseSeeds, file.metric, name, name)};
}

std::optional<Noise> find_noise(const SweepPlan& plan) {
    const PlannedRun* run = first_of_baseline(plan);
    const fs::path path = noise_path(plan.file);
    std::error_code ignored;
    if (run == nullptr || !fs::exists(path, ignored)) return std::nullopt;
    const Json all = read_json_object(path);
    const auto at = all.find(shape_of(*run, plan.file.metric));
    if (at == all.end()) return std::nullopt;
    const std::string name = path.string();
    return Noise{json_at<double>(*at, "sd", name), json_at<double>(*at, "mean", name),
                 json_at<std::int64_t>(*at, "n", name), json_at<std::string>(*at, "where", name)};
}

Noise record_noise(const SweepPlan& plan) {
    std::vector<double> losses;
    for (const PlannedRun& run : plan.runs)
        if (const auto end = ended_run(run.dir, plan.file.metric); end && end->metric)
            losses.push_back(*end->metric);
    if (losses.size() < 3)
        throw UsageError(fmt::format("{}: {} of {} runs completed; the noise needs 3 at least",
                                     plan.file.out.string(), losses.size(), plan.runs.size()));
    Noise noise{0, 0, static_cast<long>(losses.size()), plan.file.out.string()};
    for (const double x : losses) noise.mean += x / static_cast<double>(noise.n);
    for (const double x : losses)
        noise.sd += (x - noise.mean) * (x - noise.mean) / static_cast<double>(noise.n - 1);
    noise.sd = std::sqrt(noise.sd);
    const fs::path path = noise_path(plan.file);
    std::error_code ignored;
    Json all = fs::exists(path, ignored) ? read_json_object(path) : Json::object();
    const PlannedRun& run = plan.runs.front();
    all[shape_of(run, plan.file.metric)] = {
        {"sd", noise.sd},       {"mean", noise.mean},         {"n", noise.n},
        {"where", noise.where}, {"metric", plan.file.metric}, {"variant", run.variant},
        {"params", run.params}, {"tokens", run.tokens}};
    write_file(path, all.dump(1) + "\n");
    return noise;
}

}  // namespace plumb
