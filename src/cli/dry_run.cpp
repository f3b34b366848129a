#include "cli/dry_run.h"

#include "cli/terminal.h"
#include "core/text.h"
#include "experiment/run.h"

#include <cstdio>

namespace plumb {
namespace {

// Share of the GEMM rate that a step is taken to reach for the time estimate.
constexpr double kAssumedShare = 0.5;

void print_settings(const LoadedConfig& loaded) {
    Table table({"setting", "value", "from"});
    for (const auto& [key, value] : values(loaded.config))
        table.add({key, value, loaded.origin.contains(key) ? loaded.origin.at(key) : "default"});
    std::printf("%s\n", table.text().c_str());
}

// Parameter counts by the last two parts of the name, summed over layers.
void print_parameters(const ParamStore<float>& params) {
    std::vector<std::pair<std::string, Index>> groups;
    for (const ParamSpec& s : params.specs()) {
        std::string name = s.name;
        if (name.starts_with("layer.")) name = "layer.*" + name.substr(name.find('.', 6));
        auto at =
            std::find_if(groups.begin(), groups.end(), [&](auto& g) { return g.first == name; });
        if (at == groups.end())
            groups.emplace_back(name, s.shape.count());
        else
            at->second += s.shape.count();
    }
    Table table({"parameters", ">count"});
    for (const auto& [name, count] : groups) table.add({name, thousands(count)});
    std::printf("%s\n", table.text().c_str());
}

void print_memory(const Trainer& trainer, bool by_tensor) {
    const Plan& plan = trainer.model().plan();
    const auto state = static_cast<double>(trainer.model().params().flat_size()) * sizeof(float);
    if (by_tensor) {
        Table table({"tensor", "shape", "lifetime", ">bytes"});
        for (const TensorSpec& t : plan.tensors())
            table.add({t.name, t.shape.text(), t.lifetime == Lifetime::saved ? "saved" : "scratch",
                       thousands(static_cast<long long>(t.bytes))});
        std::printf("%s\n", table.text().c_str());
    }
    Table table({"memory", ">size"});
    table.add({"parameters", human_bytes(state)});
    table.add({"gradients", human_bytes(state)});
    table.add({"AdamW moments", human_bytes(2 * state)});
    table.add(
        {"saved for backward", human_bytes(static_cast<double>(plan.bytes(Lifetime::saved)))});
    table.add({"scratch", human_bytes(static_cast<double>(plan.bytes(Lifetime::scratch)))});
    table.add({"total", human_bytes(trainer.planned_bytes())});
    std::printf("%s\n", table.text().c_str());
}

}  // namespace

void print_dry_run(const LoadedConfig& loaded, const Context& context, bool by_tensor) {
    print_settings(loaded);
    const RunPlan plan = plan_run(loaded.config, context);
    const Trainer& trainer = *plan.trainer;
    print_parameters(trainer.model().params());
    print_memory(trainer, by_tensor);
    set_up_threads(context);
    const double rate = training_gemm_rate(context, loaded.config, 0.2);
    const double tokens =
        static_cast<double>(trainer.tokens_per_step() * loaded.config.train.steps);
    const double seconds = tokens * plan.flops_per_token / (kAssumedShare * rate);
    std::printf("data: %s\n", plan.data->describe().c_str());
    std::printf("params: %lld\nmixer_params: %lld\n", static_cast<long long>(plan.params),
                static_cast<long long>(plan.mixer_params));
    std::printf("flops_per_token: %.0f\ntokens: %.0f\n", plan.flops_per_token, tokens);
    std::printf("memory_bytes: %.0f\n", trainer.planned_bytes());
    std::printf("gemm_gflops: %.0f\n", rate / 1e9);
    std::printf("estimated_seconds: %.0f\n", seconds);
    std::printf(
        "estimate: %s if a step reaches %.0f%% of the GEMM rate; validation and probes come on "
        "top\n",
        human_seconds(seconds).c_str(), 100 * kAssumedShare);
}

}  // namespace plumb
