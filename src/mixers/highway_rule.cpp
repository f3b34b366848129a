#include "mixers/highway_rule.h"

#include "mixers/mixers.h"
#include "mixers/number_option.h"

#include <cmath>

namespace plumb {
namespace {

std::vector<double> initial_biases(const std::string& text, int sublayers) {
    std::vector<double> b(static_cast<std::size_t>(sublayers));
    const std::optional<double> number = number_in(text);
    if (!number && text != "depth" && text != "uniform")
        throw UsageError(
            fmt::format("mixer.gate_bias={}: use 'depth', 'uniform' or a number such as -3", text));
    const double depth = std::max(1.0, static_cast<double>(sublayers - 1));
    for (std::size_t k = 0; k < b.size(); ++k)
        b[k] = number ? *number : -std::log(text == "uniform" ? static_cast<double>(k + 1) : depth);
    return b;
}

}  // namespace

HighwayOptions highway_setting(const MixerConfig& config, int sublayers) {
    const Gate gate = config.text("gate") == "scalar"   ? Gate::scalar
                      : config.text("gate") == "vector" ? Gate::vector
                                                        : Gate::fixed;
    return {gate, config.text("gate_input") == "norm",
            initial_biases(config.text("gate_bias"), sublayers)};
}

std::vector<MixerOption> highway_options() {
    return {
        {"gate", "scalar",
         "what a gate t is: one number per token, one per channel, or learned without looking at "
         "the token",
         Choices{"scalar", "vector", "static"}},
        {"gate_bias", "uniform",
         "where the gates start: uniform (-log l at sublayer l: as the standard network), depth "
         "(-log(L-1) everywhere) or a number",
         Field{}.or_number()},
        {"gate_input", "norm", "what the gate looks at: RMSNorm(h) or h itself",
         Choices{"norm", "raw"}}};
}

RulePtr highway_rule(const MixerConfig& config, const MixerShape& shape) {
    return std::make_unique<HighwayRule>(shape, highway_setting(config, shape.sublayers));
}

}  // namespace plumb
