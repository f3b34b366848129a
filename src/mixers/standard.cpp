// The standard residual connection (He et al. 2016, arXiv:1512.03385): h_{l+1} = h_l + v_l, so that
// M is all ones below the diagonal.
#include "mixers/memories/running_row.h"
#include "mixers/mixers.h"

namespace plumb {
namespace {

class StandardRule final : public RuleOf<StandardRule> {
public:
    StandardRule(const MixerConfig&, const MixerShape& shape) : RuleOf(shape) {}

    template <class N>
    void c(int, const N*, const N*, N* c) const {
        c[0] = N(1);
    }
    template <class N>
    void A(int, const N*, const N*, const N*, N* a) const {
        a[0] = a[1] = N(1);
    }
};

}  // namespace

MixerMakers standard_mixer() { return mixer_on<RunningRow, StandardRule>(); }

}  // namespace plumb
