// Learned constants in place of a residual sum (Table 4 of arXiv:2603.15031, "input-independent";
// Table 5's DenseFormer row over outputs): h_l = sum_{i<l} w[l,i] v_i.
//
//     raw      w[l,:] = weight, which starts at 1
//     softmax  w[l,:] = softmax(weight), which starts at 0
//
// Both start as the standard network, softmax up to a scale that the norms remove.
#include "mixers/memories/sources.h"

namespace plumb {
namespace {

class StaticMixRule final : public RuleOf<StaticMixRule> {
public:
    StaticMixRule(const MixerConfig& config, const MixerShape& shape)
        : RuleOf(shape), softmaxed_(config.text("weights") == "softmax") {
        if (!softmaxed_ && config.text("weights") != "raw")
            throw UsageError(
                fmt::format("mixer.weights={}: static_mix has softmax and raw; sigmoids of "
                            "learned numbers are attnres with query=none",
                            config.text("weights")));
    }

    int rows(int l) const override { return l; }
    std::vector<RuleParam> params(int l) const override {
        if (softmaxed_ && l == 1) return {};  // its only weight is 1
        return {{RuleParam::Is::numbers, "weight", {{'S', l}}, Init::constant(softmaxed_ ? 0 : 1)}};
    }
    template <class N>
    void c(int l, const N*, const N* weight, N* c) const {
        if (softmaxed_ && l == 1)
            c[0] = N(1);
        else if (softmaxed_)
            softmax(l, weight, c);
        else
            std::copy_n(weight, l, c);
    }
    template <class N>
    void A(int l, const N*, const N*, const N*, N* a) const {
        for (int i = 0; i <= l; ++i) a[i * (l + 1) + i] = N(1);
    }

private:
    bool softmaxed_;
};

}  // namespace

std::vector<MixerOption> static_mix_options() { return {weights_option()}; }
MixerMakers static_mix_mixer() {
    return mixer_of<StaticMixRule>([](auto type, auto rule) {
        return std::make_unique<Sources<decltype(type)>>(
            SourceRule{.rule = std::move(rule), .keys = {}});
    });
}

}  // namespace plumb
