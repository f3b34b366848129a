// LayerScale (CaiT, Touvron et al. 2021, arXiv:2103.17239): h_{l+1} = h_l + g_l * v_l, a learned
// gain for each channel. Starts at the paper's: 0.1 up to 18 transformer blocks, 1e-5 up to 24,
// 1e-6 deeper. Every channel is a group: M has a matrix a channel.
#include "mixers/gain_init.h"
#include "mixers/memories/running_row.h"
#include "mixers/mixers.h"

namespace plumb {
namespace {

class LayerScaleRule final : public RuleOf<LayerScaleRule> {
public:
    LayerScaleRule(const MixerConfig& config, const MixerShape& shape) : RuleOf(shape) {
        const int blocks = shape.layout.blocks();
        const double paper = blocks <= 18 ? 0.1 : blocks <= 24 ? 1e-5 : 1e-6;
        start_ = gain_start(config.text("gain_init"), paper);
    }

    int groups() const override { return static_cast<int>(shape().channels); }
    std::vector<RuleParam> params(int l) const override {
        if (l > sublayers()) return {};
        return {
            {RuleParam::Is::numbers, "gain", {{'C', shape().channels}}, Init::constant(start_)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        for (int k = 0; k < groups(); ++k) c[k] = N(1);
    }
    template <class N>
    void A(int, const N*, const N*, const N* gain, N* a) const {
        for (int k = 0; k < groups(); ++k) {
            a[2 * k] = N(1);
            a[2 * k + 1] = gain[k];
        }
    }

private:
    double start_;
};

}  // namespace

std::vector<MixerOption> layerscale_options() { return {gain_init_option()}; }

MixerMakers layerscale_mixer() { return mixer_on<RunningRow, LayerScaleRule>(); }

}  // namespace plumb
