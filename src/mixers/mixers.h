// Table of contents of the depth mixers. Adding one = one .cpp, one row in mixers.cpp, one
// declaration at the end of this page, one test file.
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

// How a mixer is made in each storage type, and its rule, for the plain engine (reference.h).
struct MixerMakers {
    template <class X>
    using Make = std::function<X(const MixerConfig&, const MixerShape&)>;

    Make<MixerPtr<float>> in_float;
    Make<MixerPtr<double>> in_double;
    Make<MixerPtr<Bf16>> in_bf16;
    Make<RulePtr> rule;
};

// Of a class of rules that are made of (config, shape), on the memory that carries them.
template <template <class T, class R> class Memory, class R>
MixerMakers mixer_on() {
    const auto in = [](auto type) {
        using T = decltype(type);
        return [](const MixerConfig& config, const MixerShape& shape) -> MixerPtr<T> {
            return std::make_unique<Memory<T, R>>(R(config, shape));
        };
    };
    return {in(float()), in(double()), in(Bf16()),
            [](const MixerConfig& config, const MixerShape& shape) -> RulePtr {
                return std::make_unique<R>(config, shape);
            }};
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
    std::vector<std::string> option_names() const;
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

// Its definition, for the plain engine (reference.h). Throws as make_mixer.
RulePtr make_rule(const MixerConfig& config, const MixerShape& shape);

MixerMakers standard_mixer();
std::vector<MixerOption> highway_options();
MixerMakers highway_mixer();
std::vector<MixerOption> denseformer_options();
RulePtr denseformer_rule(const MixerConfig&, const MixerShape&);
std::vector<MixerOption> hyper_options();
RulePtr hyper_rule(const MixerConfig&, const MixerShape&);
std::vector<MixerOption> mhc_options();
RulePtr mhc_rule(const MixerConfig&, const MixerShape&);
// mixer.weights of attnres and static_mix.
MixerOption weights_option();
std::vector<MixerOption> attn_res_options(bool blocks);
RulePtr attn_res_rule(const MixerConfig&, const MixerShape&);
std::vector<MixerOption> rezero_options();
MixerMakers rezero_mixer();
std::vector<MixerOption> layerscale_options();
MixerMakers layerscale_mixer();
std::vector<MixerOption> deepnorm_options();
MixerMakers deepnorm_mixer();
std::vector<MixerOption> static_mix_options();
RulePtr static_mix_rule(const MixerConfig&, const MixerShape&);
std::vector<MixerOption> mhc_lite_options();
RulePtr mhc_lite_rule(const MixerConfig&, const MixerShape&);
std::vector<MixerOption> mudd_options();
RulePtr mudd_rule(const MixerConfig&, const MixerShape&);

template <class T>
MixerPtr<T> make_denseformer(const MixerConfig&, const MixerShape&);
template <class T>
MixerPtr<T> make_attn_res(const MixerConfig&, const MixerShape&);
template <class T>
MixerPtr<T> make_static_mix(const MixerConfig&, const MixerShape&);

}  // namespace plumb
