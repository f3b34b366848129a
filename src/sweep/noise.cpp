#include "sweep/noise.h"

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "experiment/config_toml.h"
#include "sweep/identity.h"
#include "sweep/outcome.h"

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

std::string noise_sweep_text(const SweepFile& file) {
    std::string settings;
    for (const SweepVariant& v : file.variants)
        if (v.name == file.baseline)
            for (const PlacedSetting& s : v.settings)
                settings +=
                    fmt::format("{} = {}\n", s.key, setting_value(s.key, s.value, s.where).text);
    for (const auto* axes : {&file.grid, &file.zip})
        for (const SweepAxis& axis : *axes)
            settings += fmt::format("{} = {}\n", axis.key, axis.values.front().text);
    return fmt::format(
        "# How much does the seed alone move {} of {}, the baseline of {}?\n"
        "[sweep]\nbase = \"base.toml\"\nseeds = \"1..{}\"\nmetric = \"{}\"\nbaseline = {}\n\n"
        "[[variant]]\nname = {}\n{}",
        file.metric, file.baseline, file.name, kNoiseSeeds, file.metric, Json(file.baseline).dump(),
        Json(file.baseline).dump(), settings);
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
        if (const auto end = run_end(run.dir, plan.file.metric); end && end->metric)
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
