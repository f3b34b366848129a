// DenseFormer (Pagliardini et al. 2024, arXiv:2402.02622), semantics of the package in
// epfml/DenseFormer: with X_0 = v_0 and X_k = Y_{k-1} plus the outputs of transformer block k,
//
//     Y_k = sum_j alpha[k,j] X_j   over j = k mod dilation, if k mod period = 0, else Y_k = X_k
//
// Rows: X_0 .. X_k of the blocks done, then what runs: Y_k plus the outputs since.
#include "mixers/memories/averages.h"

namespace plumb {
namespace {

class DenseFormerRule final : public RuleOf<DenseFormerRule> {
public:
    DenseFormerRule(const MixerConfig& config, const MixerShape& shape)
        : RuleOf(shape), dilation_(option(config, "dilation")), period_(option(config, "period")) {}

    int rows(int l) const override { return layout().block(l) + 2; }
    std::vector<RuleParam> params(int l) const override {
        const int k = ending(l);
        if (k == 0 || k % period_ != 0) return {};
        const int n = k / dilation_ + 1;
        std::vector<double> one_hot(static_cast<std::size_t>(n), 0.0);
        one_hot.back() = 1.0;
        return {{RuleParam::Is::numbers,
                 "alpha",
                 {{'S', n}},
                 Init::values(one_hot),
                 Layout::block_name(k - 1)}};
    }
    template <class N>
    void c(int l, const N*, const N*, N* c) const {
        c[rows(l) - 1] = N(1);
    }
    template <class N>
    void A(int l, const N*, const N*, const N* alpha, N* a) const {
        const int h = rows(l) - 1, ins = h + 2, k = ending(l);
        for (int j = 0; j < h; ++j) a[j * ins + j] = N(1);
        N* row = a + h * ins;
        row[h] = row[h + 1] = N(1);  // h + v
        if (k == 0) return;
        row += ins;  // that row was X_k; now Y_k
        const bool mixes = k % period_ == 0;
        const N own = mixes ? alpha[k / dilation_] : N(1);
        row[h] = row[h + 1] = own;
        if (mixes)
            for (int j = k % dilation_, s = 0; j < k; j += dilation_, ++s) row[j] = alpha[s];
    }

private:
    // The block (1, 2, ..) that the output of l completes, or 0.
    int ending(int l) const { return layout().ends_block(l) ? layout().block(l + 1) : 0; }

    int option(const MixerConfig& config, const char* key) const {
        const long value = config.integer(key), blocks = layout().blocks();
        if (value > blocks)
            throw UsageError(fmt::format("mixer.{}={}: must lie in 1..{} (transformer blocks)", key,
                                         value, blocks));
        return static_cast<int>(value);
    }
    int dilation_, period_;
};

}  // namespace

std::vector<MixerOption> denseformer_options() {
    return {{"dilation", 1L, "an average takes in every dilation-th earlier block only",
             within(1, 1e6)},
            {"period", 1L, "blocks between two averages", within(1, 1e6)}};
}

MixerMakers denseformer_mixer() {
    return mixer_of<DenseFormerRule>(
        [](auto type, auto rule) {
            return std::make_unique<Averages<decltype(type)>>(std::move(rule));
        },
        Averages<float>::runs_on_gpu);
}

}  // namespace plumb
