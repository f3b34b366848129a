#include "cli/dry_run.h"

#include "cli/terminal.h"
#include "core/size.h"
#include "core/text.h"
#include "model/sublayers.h"
#include "record/probes.h"
#include "run/run.h"
#include "run/warnings.h"

#include <algorithm>

namespace plumb {
namespace {

// "model.layers = 4  (default)" and, below, what that means.
void print_settings(const LoadedConfig& loaded) {
    const int width = Terminal::of(stdout).width;
    for (const auto& [key, value] : values(loaded.config)) {
        const auto from = loaded.origin.find(key);
        fmt::print("{} = {}  ({})\n", key, printable_line(value),
                   from == loaded.origin.end() ? "default" : printable_line(from->second));
        for (const std::string& line : wrap(find_field(key)->help, width - 4))
            fmt::print("    {}\n", line);
    }
    fmt::print("\n");
}

// layer.3.attn.qkv.weight -> "attention", and so on.
std::string group_of(const ParamSpec& spec, const Layout& layout) {
    if (spec.group == Group::mixer) return "depth mixer";
    if (!spec.name.starts_with("layer.")) return spec.name.substr(0, spec.name.find('.'));
    for (const char* norm : {".norm.", ".norm_k.", ".norm_v."})
        if (spec.name.find(norm) != std::string::npos) return "norms";
    const int block = std::stoi(spec.name.substr(std::string("layer.").size()));
    for (int l = layout.end_of(block) + 1; l <= layout.end_of(block + 1); ++l)
        if (spec.name.starts_with(layout.name(l) + ".")) return find_sublayer(layout.kind(l)).title;
    throw InternalError("a parameter of no sublayer: " + spec.name);
}

void print_counts(const std::vector<std::pair<std::string, Index>>& counts, Index total) {
    Table table({"parameters", ">count", ">share"});
    for (const auto& [name, count] : counts)
        table.add({name, thousands(count),
                   fmt::format("{:.1f}%",
                               100 * static_cast<double>(count) / static_cast<double>(total))});
    table.add({"total", thousands(total), ""});
    fmt::print("{}\n", table.text());
}

// Counts by group, or by_name: by the last parts of the name, summed over layers.
void print_parameters(const Model<float>& model, bool by_name) {
    const ParamStore<float>& params = model.params();
    std::vector<std::pair<std::string, Index>> groups;
    for (const ParamSpec& s : params.specs()) {
        std::string name = by_name ? s.name : group_of(s, model.layout());
        if (name.starts_with("layer.")) name = "layer.*" + name.substr(name.find('.', 6));
        auto at =
            std::find_if(groups.begin(), groups.end(), [&](auto& g) { return g.first == name; });
        if (at == groups.end())
            groups.emplace_back(name, s.shape.count());
        else
            at->second += s.shape.count();
    }
    print_counts(groups, params.n_params());
}

// Probes come on top of a training step: what they listen to, and a copy of the parameters.
double bytes_for_probes(const Trainer& trainer, const Config& config) {
    if (config.record.probe_every == 0) return 0;
    const ModelConfig& m = trainer.model().config();
    return probe_bytes(m.sublayers(), config.train.batch * m.context, m.width) +
           static_cast<double>(trainer.model().params().flat_size()) * sizeof(float);
}

void print_memory(const Trainer& trainer, const Config& config, bool by_tensor) {
    const Plan& plan = trainer.model().plan();
    const auto state = static_cast<double>(trainer.model().params().flat_size()) * sizeof(float);
    if (by_tensor) {
        Table table({"tensor", "shape", "lifetime", ">bytes"});
        for (const TensorSpec& t : plan.tensors())
            table.add({t.name, t.shape.text(), t.lifetime == Lifetime::saved ? "saved" : "scratch",
                       thousands(static_cast<long long>(t.bytes))});
        fmt::print("{}\n", table.text());
    }
    Table table({"memory", ">size"});
    table.add({"parameters", human_bytes(state)});
    table.add({"gradients", human_bytes(state)});
    table.add(
        {"optimizer (" + config.train.optimizer + ")", human_bytes(trainer.optimizer().bytes())});
    table.add(
        {"saved for backward", human_bytes(static_cast<double>(plan.bytes(Lifetime::saved)))});
    table.add({"scratch", human_bytes(static_cast<double>(plan.bytes(Lifetime::scratch)))});
    table.add({"total", human_bytes(trainer.planned_bytes())});
    if (const double probes = bytes_for_probes(trainer, config); probes > 0)
        table.add({"while a probe runs", "+ " + human_bytes(probes)});
    fmt::print("{}\n", table.text());
}

void print_estimate(const LoadedConfig& loaded, const Context& context, const RunPlan& plan,
                    double tokens) {
    const double needed = plan.trainer->planned_bytes(), there = machine_bytes();
    if (needed > there) {
        fmt::print(
            "estimate: none; this machine has {}, the run needs {}: try a smaller train.batch "
            "or model.context\n",
            human_bytes(there), human_bytes(needed));
        return;
    }
    set_up_threads(context);
    const double rate = training_gemm_rate(context, loaded.config, 0.2);
    const double seconds = tokens * plan.flops_per_token / (kAssumedShare * rate);
    fmt::print("gemm_gflops: {:.0f}\nestimated_seconds: {:.0f}\n", rate / 1e9, seconds);
    fmt::print(
        "estimate: {} if a step reaches {:.0f}% of the GEMM rate; validation and probes come on "
        "top\n",
        human_seconds(seconds), 100 * kAssumedShare);
}

}  // namespace

void print_dry_run(const LoadedConfig& loaded, const Context& context, bool by_tensor) {
    const RunPlan plan = plan_run(loaded.config, context);  // refuses before a page is printed
    print_settings(loaded);
    const Trainer& trainer = *plan.trainer;
    print_parameters(trainer.model(), by_tensor);
    print_memory(trainer, loaded.config, by_tensor);
    const double tokens =
        static_cast<double>(trainer.tokens_per_step() * loaded.config.train.steps);
    for (const std::string& text : config_warnings(loaded.config, *plan.data, plan.mixer_params))
        fmt::print("warning: {}\n", printable(text));
    fmt::print("data: {}\n", printable_line(plan.data->describe()));
    fmt::print("params: {}\nmixer_params: {}\n", plan.params, plan.mixer_params);
    fmt::print("flops_per_token: {:.0f}\ntokens: {:.0f}\n", plan.flops_per_token, tokens);
    fmt::print("memory_bytes: {:.0f}\n", trainer.planned_bytes());
    print_estimate(loaded, context, plan, tokens);
}

}  // namespace plumb
