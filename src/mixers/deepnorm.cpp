// DeepNorm (Wang et al. 2022, arXiv:2203.00555): h_{l+1} = RMSNorm(a h_l + v_l) with a =
// L^(1/4) for L sublayers, the paper's (2 B)^(1/4) for B blocks of two. The paper's norm is
// LayerNorm with a gain, and it divides the starts of four weights by (8 B)^(1/4); here the norm
// has neither, the starts are those of every mixer, and the sublayers keep their own norms.
//
//     A = [a r, r],  r = 1/rms(a h + v):  <a h + v, a h + v> = a^2 <h, h> + 2 a <h, v> + <v, v>
#include "mixers/memories/running_row.h"
#include "mixers/mixers.h"

namespace plumb {
namespace {

class DeepNormRule final : public RuleOf<DeepNormRule> {
public:
    DeepNormRule(const MixerConfig& config, const MixerShape& shape)
        : RuleOf(shape), alpha_(config.number("alpha")) {
        if (alpha_ <= 0) alpha_ = std::pow(shape.sublayers(), 0.25);
    }

    Dots write_dots(int) const override {
        return {{Operand::row(0), Operand::row(0)},
                {Operand::row(0), Operand::row(1)},
                {Operand::row(1), Operand::row(1)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        c[0] = N(1);
    }
    template <class N>
    void A(int, const N*, const N* w, const N*, N* a) const {
        const N r = rstd(N(alpha_ * alpha_) * w[0] + N(2 * alpha_) * w[1] + w[2]);
        a[0] = N(alpha_) * r;
        a[1] = r;
    }

private:
    double alpha_;
};

}  // namespace

std::vector<MixerOption> deepnorm_options() {
    return {{"alpha", 0.0,
             "what the running sum is multiplied by before a norm (0: as in the paper, (2 "
             "model.layers) to the power 1/4)",
             within(0, 1e6)}};
}

MixerMakers deepnorm_mixer() { return mixer_on<RunningRow, DeepNormRule>(); }

}  // namespace plumb
