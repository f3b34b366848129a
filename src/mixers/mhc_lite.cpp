// mHC-lite (arXiv:2601.05732): mhc_family.h with res = sum_r w_r P_r over the K! permutations P_r
// in lexicographic order, w = softmax(z): doubly stochastic without iterations, with K! in place of
// K*K rows of phi, which start at 0.
#include "mixers/mhc_family.h"

#include <algorithm>
#include <numeric>

namespace plumb {
namespace {

class MhcLiteRule final : public MhcFamily<MhcLiteRule> {
public:
    static constexpr int kMost = 4;  // streams: 24 permutations

    MhcLiteRule(const MixerConfig& config, const MixerShape& shape) : MhcFamily(config, shape) {
        if (k() > kMost)
            throw UsageError(fmt::format(
                "mixer.streams={}: mhc_lite has K! permutations, so K is 1..{}", k(), kMost));
    }

    int n_res() const { return k() < 2 ? 1 : k() == 2 ? 2 : k() == 3 ? 6 : 24; }
    bool is_identity(int i) const { return i == 0; }
    Init phi_init(Index, Index) const { return Init::constant(0.0); }
    template <class N>
    void res(N* z) const {
        N w[24];
        softmax(n_res(), z, w);
        std::fill_n(z, k() * k(), N(0));
        int to[kMost] = {0, 1, 2, 3};
        for (int r = 0; r < n_res(); ++r, std::next_permutation(to, to + k()))
            for (int s = 0; s < k(); ++s) z[s * k() + to[s]] += w[r];
    }
};

}  // namespace

std::vector<MixerOption> mhc_lite_options() {
    return {streams_option(), bias_init_option(), reduction_option()};
}
MixerMakers mhc_lite_mixer() { return mixer_on_streams<MhcLiteRule>(); }

}  // namespace plumb
