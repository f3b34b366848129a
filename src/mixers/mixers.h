// The table of the depth mixers (mixers.cpp). One more: README.md.
#pragma once

#include "mixers/depth_mixer.h"
#include "mixers/mixer_config.h"
#include "mixers/rule.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace plumb {

template <class T>
using MixerPtr = std::unique_ptr<DepthMixer<T>>;

// How a mixer is made in each storage type, and its rule, for the reference engine (reference.h).
struct MixerMakers {
    template <class X>
    using Make = std::function<X(const MixerConfig&, const MixerShape&)>;

    Make<MixerPtr<float>> in_float;
    Make<MixerPtr<double>> in_double;
    Make<MixerPtr<Bf16>> in_bf16;
    Make<RulePtr> rule;
};

// The memory that carries any rule (plain.h).
template <class T>
MixerPtr<T> plain_mixer(RulePtr rule);

// Of rules R(config, shape). in(type, rule) puts a rule (a unique_ptr) into the memory that carries
// it; on a GPU where on_gpu(rule), else into the plain one.
template <class R, class In>
MixerMakers mixer_of(
    In in, bool (*on_gpu)(const Rule&) = [](const Rule&) { return false; }) {
    const auto make = [in, on_gpu](auto type) {
        using T = decltype(type);
        return [=](const MixerConfig& config, const MixerShape& shape) -> MixerPtr<T> {
            auto rule = std::make_unique<R>(config, shape);
            if (shape.device == Device::cuda && !on_gpu(*rule))
                return plain_mixer<T>(std::move(rule));
            return in(T(), std::move(rule));
        };
    };
    return {make(float()), make(double()), make(Bf16()),
            [](const MixerConfig& config, const MixerShape& shape) -> RulePtr {
                return std::make_unique<R>(config, shape);
            }};
}
// In a memory that takes the rule's class as a template argument, or one that carries any rule.
template <template <class T, class R> class Memory, class R>
MixerMakers mixer_on() {
    return mixer_of<R>(
        [](auto type, auto rule) {
            return std::make_unique<Memory<decltype(type), R>>(std::move(*rule));
        },
        Memory<float, R>::runs_on_gpu);
}
template <template <class T> class Memory, class R>
MixerMakers mixer_on() {
    return mixer_of<R>([](auto type, auto rule) {
        return std::make_unique<Memory<decltype(type)>>(std::move(rule));
    });
}

struct MixerInfo {
    std::string name;                  // mixer.name in a config
    std::string paper;                 // who defined it, and where
    std::string definition;            // one line
    std::vector<MixerOption> options;  // keys of [mixer] it reads beside the common ones
    // Small configurations that the contract, gradient and identity tests and `plumb check` loop
    // over: settings of [mixer] beside the name, e.g. {"gate=vector"}. The first is the default.
    std::vector<std::vector<std::string>> test_settings;
    bool equals_standard_at_init;  // same logits as `standard` at step 0, up to norm_eps
    MixerMakers make;

    bool reads(const std::string& option) const;
};

const std::vector<MixerInfo>& mixers();

// Whether a row's claim to equal the standard network at step 0 holds with these options: highway's
// does with gate_bias=uniform alone, attnres' without a window.
bool starts_as_standard(const MixerInfo& info, const MixerConfig& config);

// Throws UsageError naming the nearest mixer.
const MixerInfo& find_mixer(const std::string& name);

// T is float, double or Bf16. Throws UsageError for impossible options, naming the key.
template <class T>
MixerPtr<T> make_mixer(const MixerConfig& config, const MixerShape& shape);

// Its definition, for the reference engine (reference.h). Throws as make_mixer.
RulePtr make_rule(const MixerConfig& config, const MixerShape& shape);

MixerMakers standard_mixer();
std::vector<MixerOption> highway_options();
MixerMakers highway_mixer();
std::vector<MixerOption> denseformer_options();
MixerMakers denseformer_mixer();
MixerOption dynamic_option();  // mixer.dynamic of hyper and mudd
std::vector<MixerOption> hyper_options();
MixerMakers hyper_mixer();
std::vector<MixerOption> mhc_options();
MixerMakers mhc_mixer();
MixerOption weights_option();  // mixer.weights of attnres and static_mix
std::vector<MixerOption> attn_res_options(bool blocks);
MixerMakers attn_res_mixer();
std::vector<MixerOption> rezero_options();
MixerMakers rezero_mixer();
std::vector<MixerOption> layerscale_options();
MixerMakers layerscale_mixer();
std::vector<MixerOption> deepnorm_options();
MixerMakers deepnorm_mixer();
std::vector<MixerOption> static_mix_options();
MixerMakers static_mix_mixer();
std::vector<MixerOption> mhc_lite_options();
MixerMakers mhc_lite_mixer();
std::vector<MixerOption> mudd_options();
MixerMakers mudd_mixer();

}  // namespace plumb
