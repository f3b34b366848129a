// Options of highway, and where its gates start: uniform (default), b_l = -log l, makes h_{l+1} the
// mean of all outputs, that is the standard network up to a scale the norms remove (ours); depth,
// b = -log(L-1), keeps (1 - 1/L)^L ~ 0.37 of the embedding at any depth (ours; a constant -1 leaves
// 5e-4 at L = 24), but starts with gradients several times smaller; or a number.
#include "mixers/highway.h"

#include "core/text.h"
#include "mixers/memories/running_row.h"

#include <cmath>

namespace plumb {
namespace {

std::vector<double> initial_biases(const std::string& text, int sublayers) {
    std::vector<double> b(static_cast<std::size_t>(sublayers));
    const std::optional<double> number = number_in(text);
    const double depth = std::max(1.0, static_cast<double>(sublayers - 1));
    for (std::size_t k = 0; k < b.size(); ++k)
        b[k] = number ? *number : -std::log(text == "uniform" ? static_cast<double>(k + 1) : depth);
    return b;
}

}  // namespace

HighwayRule::HighwayRule(const MixerConfig& config, const MixerShape& shape)
    : RuleOf(shape),
      vector_(config.text("gate") == "vector"),
      fixed_(config.text("gate") == "static"),
      norm_input_(config.text("gate_input") == "norm"),
      bias_(initial_biases(config.text("gate_bias"), shape.sublayers())) {}

std::vector<RuleParam> HighwayRule::params(int l) const {
    if (l > sublayers()) return {};
    const Index c = shape().channels, g = n_gates();
    std::vector<RuleParam> all;
    if (!fixed_)
        all.push_back({RuleParam::Is::vectors, "gate.weight",
                       vector_ ? Shape{{'O', c}, {'C', c}} : Shape{{'C', c}}, Init::constant(0.0)});
    all.push_back({RuleParam::Is::numbers,
                   "gate.bias",
                   {{'G', g}},
                   Init::constant(bias_[static_cast<std::size_t>(l - 1)])});
    return all;
}

Dots HighwayRule::read_dots(int l) const {
    if (l > sublayers() || fixed_) return {};
    Dots all{{Operand::row(0), Operand::row(0)}};
    for (int g = 0; g < n_gates(); ++g) all.push_back({Operand::row(0), Operand::vector(g)});
    return all;
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
         Field(Choices{"uniform", "depth"}).or_number()},
        {"gate_input", "norm", "what the gate looks at: RMSNorm(h) or h itself",
         Choices{"norm", "raw"}}};
}

MixerMakers highway_mixer() {
    return mixer_of<HighwayRule>(
        [](auto type, auto rule) -> MixerPtr<decltype(type)> {
            using T = decltype(type);
            if (rule->vector()) return make_highway_vector<T>(std::move(*rule));
            return std::make_unique<RunningRow<T, HighwayRule>>(std::move(*rule));
        },
        [](const Rule& rule) {
            return !static_cast<const HighwayRule&>(rule).vector() &&
                   RunningRow<float, HighwayRule>::runs_on_gpu(rule);
        });
}

}  // namespace plumb
