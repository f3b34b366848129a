// ReZero (Bachlechner et al. 2020, arXiv:2003.04887): h_{l+1} = h_l + a_l v_l with a learned number
// a_l, 0 at the start: every read is the embedding until training lets a sublayer in. The paper
// drops the norms and shares a_l inside a transformer block; here the pre-norms stay.
#include "mixers/gain_init.h"
#include "mixers/memories/running_row.h"
#include "mixers/mixers.h"

namespace plumb {
namespace {

class ReZeroRule final : public RuleOf<ReZeroRule> {
public:
    ReZeroRule(const MixerConfig& config, const MixerShape& shape)
        : RuleOf(shape), start_(gain_start(config.text("gain_init"), 0.0)) {}

    std::vector<RuleParam> params(int l) const override {
        if (l > sublayers()) return {};
        return {{RuleParam::Is::numbers, "gain", {{'G', 1}}, Init::constant(start_)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        c[0] = N(1);
    }
    template <class N>
    void A(int, const N*, const N*, const N* gain, N* a) const {
        a[0] = N(1);
        a[1] = gain[0];
    }

private:
    double start_;
};

}  // namespace

std::vector<MixerOption> rezero_options() { return {gain_init_option()}; }

MixerMakers rezero_mixer() { return mixer_on<RunningRow, ReZeroRule>(); }

}  // namespace plumb
