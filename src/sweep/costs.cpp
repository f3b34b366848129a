#include "sweep/costs.h"

#include "data/dataset.h"
#include "record/probes.h"
#include "run/run.h"

namespace plumb {
namespace {

// All settings of tables that a count can depend on; those of a run's length, rate and seed do not.
std::string shape_key(const Config& config) {
    std::string key = fmt::format("{} {} {} {}\n", config.train.batch, config.train.accumulate,
                                  config.train.precision, config.train.optimizer);
    for (const auto& [name, text] : values(config))
        if (is_model_key(name) || name.starts_with("mixer.") || name.starts_with("data."))
            key += name + "=" + text + "\n";
    return key;
}

}  // namespace

const ShapeCost& SweepCosts::of(const Config& config) {
    const std::string key = shape_key(config);
    if (const auto at = shapes_.find(key); at != shapes_.end()) return at->second;
    Context context;
    context.threads = 1;  // plans nothing but memory: more threads need no more
    const RunPlan plan = plan_run(config, context);
    ShapeCost cost{plan.params,
                   plan.mixer_params,
                   plan.flops_per_token,
                   plan.trainer->tokens_per_step(),
                   plan.trainer->planned_bytes(),
                   plan.trainer->optimizer().state().bytes(),
                   plan.trainer->model().mixer().most_ways()};
    return shapes_.emplace(key, cost).first->second;
}

const std::string& SweepCosts::fingerprint(const Config& config) {
    const DataConfig& d = config.data;
    const Index context = config.model.resolved().context;
    std::string key = fmt::format("{}\n{}\n", context, d.path);
    for (const auto& [name, text] : values(config))
        if (name.starts_with("data.")) key += name + "=" + text + "\n";
    if (const auto at = fingerprints_.find(key); at != fingerprints_.end()) return at->second;
    require_data(config);
    return fingerprints_.emplace(key, open_dataset(d, context)->fingerprint()).first->second;
}

void SweepCosts::fill(PlannedRun& run) {
    const ShapeCost& cost = of(run.config);
    const Config& c = run.config;
    run.params = cost.params;
    run.mixer_params = cost.mixer_params;
    run.flops_per_token = cost.flops_per_token;
    run.tokens = static_cast<double>(cost.tokens_per_step) * static_cast<double>(c.train.steps);
    const auto params = static_cast<double>(cost.params);
    const ModelConfig model = c.model.resolved();
    const double rows = static_cast<double>(model.sublayers()) + 1;
    run.memory = cost.memory;
    double probes = 0;
    if (c.record.probe_every > 0) {
        run.memory +=
            probe_bytes(model.sublayers(), c.train.batch * model.context, model.width) + 4 * params;
        probes = 1 + static_cast<double>(c.train.steps / c.record.probe_every);
    }
    // Of a probe: M with its spread, eight samples and three kinds of shares, and a line per depth.
    constexpr double kMatrices = 13, kLine = 1600;
    run.disk = (4 * params + cost.optimizer_state) * static_cast<double>(c.train.keep_checkpoints) +
               (c.train.keep_best ? 4 * params : 0) +
               probes * (kMatrices * cost.ways * 4 * rows * rows + kLine * rows);
}

}  // namespace plumb
