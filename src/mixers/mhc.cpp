// mHC, manifold-constrained Hyper-Connections (Xie et al. 2025, arXiv:2512.24880), as the released
// kernels compute it: mhc_family.h with res = Sinkhorn(z), z (K, K), and phi Xavier-uniform.
#include "mixers/mhc_family.h"
#include "mixers/sinkhorn.h"

namespace plumb {
namespace {

class MhcRule final : public MhcFamily<MhcRule> {
public:
    MhcRule(const MixerConfig& config, const MixerShape& shape)
        : MhcFamily(config, shape), iters_(static_cast<int>(config.integer("sinkhorn_iters"))) {}

    int n_res() const { return k() * k(); }
    bool is_identity(int i) const { return i % (k() + 1) == 0; }
    Init phi_init(Index fan_in, Index rows) const {
        return Init::uniform(std::sqrt(6.0 / static_cast<double>(fan_in + rows)));
    }
    template <class N>
    void res(N* z) const {
        sinkhorn(k(), iters_, z);
    }

private:
    int iters_;
};

}  // namespace

std::vector<MixerOption> mhc_options() {
    return {streams_option(),
            {"sinkhorn_iters", 20L,
             "rounds of row and column normalisation that make the transition doubly stochastic",
             within(1, kMaxSinkhornIters)},
            bias_init_option(),
            reduction_option()};
}
MixerMakers mhc_mixer() { return mixer_on_streams<MhcRule>(); }

}  // namespace plumb
