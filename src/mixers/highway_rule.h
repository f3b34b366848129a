// Highway (Srivastava, Greff, Schmidhuber 2015, arXiv:1505.00387) per sublayer, coupled gates:
//
//     h_{l+1} = (1 - t_l) h_l + t_l v_l,    t_l = sigmoid(W_l g_l + b_l),    g_l = RMSNorm(h_l) or
//     h_l
//
// scalar: one gate a token; vector: one a channel, so that every channel is a group; fixed: b
// alone.
#pragma once

#include "mixers/mixer_config.h"
#include "mixers/rule.h"

namespace plumb {

enum class Gate : std::uint8_t { scalar, vector, fixed };

struct HighwayOptions {
    Gate gate;
    bool norm_input;
    std::vector<double> bias;  // start, index l - 1
};

// What a config says. Throws UsageError.
HighwayOptions highway_setting(const MixerConfig& config, int sublayers);

class HighwayRule final : public RuleOf<HighwayRule> {
public:
    HighwayRule(const MixerShape& shape, HighwayOptions options)
        : RuleOf(shape), options_(std::move(options)) {}

    int groups() const override { return n_gates(); }
    std::vector<RuleParam> params(int l) const override {
        if (l > sublayers()) return {};
        const Index c = shape().channels, g = n_gates();
        std::vector<RuleParam> all;
        if (options_.gate != Gate::fixed)
            all.push_back({RuleParam::Is::vectors, "gate.weight",
                           g > 1 ? Shape{{'O', c}, {'C', c}} : Shape{{'C', c}},
                           Init::constant(0.0)});
        all.push_back({RuleParam::Is::numbers,
                       "gate.bias",
                       {{'G', g}},
                       Init::constant(options_.bias[static_cast<std::size_t>(l - 1)])});
        return all;
    }
    Dots read_dots(int l) const override {  // <h, h>, then <h, w> of every gate
        if (l > sublayers() || options_.gate == Gate::fixed) return {};
        Dots all{{Operand::row(0), Operand::row(0)}};
        for (int g = 0; g < n_gates(); ++g) all.push_back({Operand::row(0), Operand::vector(g)});
        return all;
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        for (int g = 0; g < n_gates(); ++g) c[g] = N(1);
    }
    template <class N>
    void A(int, const N* u, const N*, const N* b, N* a) const {
        for (int g = 0; g < n_gates(); ++g) {
            N z = b[g];
            if (options_.gate != Gate::fixed)
                z += options_.norm_input ? rstd(u[0]) * u[1 + g] : u[1 + g];
            const N t = sigmoid(z);
            a[2 * g] = N(1) - t;
            a[2 * g + 1] = t;
        }
    }

private:
    int n_gates() const {
        return options_.gate == Gate::vector ? static_cast<int>(shape().channels) : 1;
    }
    HighwayOptions options_;
};

}  // namespace plumb
