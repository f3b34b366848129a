// Hyper-Connections (Zhu et al. 2024, arXiv:2409.19606; Eq. 10 of arXiv:2603.15031). K streams X:
//
//     h = A_m^T X,   X' = A_r^T X + beta v^T,   alpha (K, K+1) = [A_m | A_r]
//     static   alpha = alpha_s, beta = beta_s
//     dynamic  alpha[j,:] = alpha_s[j,:] + a tanh(LN(X[j]) W_a^T),
//              beta[j] = beta_s[j] + b tanh(LN(X[j]) w_b)
//
// LN is LayerNorm over the channels of a stream, without gain and bias: with w a row of W_a or w_b,
// w LN(x) = (w x - mean(x) sum(w)) / sqrt(var(x) + eps). The output reads the sum of the streams.
// Init: A_m one-hot on stream (transformer block mod K), A_r = I, beta = 1, W_a = w_b = 0,
// a = b = 0.01: exactly the standard network.
#include "mixers/memories/streams_mixer.h"

namespace plumb {
namespace {

class HyperRule final : public RuleOf<HyperRule> {
public:
    HyperRule(const MixerConfig& config, const MixerShape& shape)
        : RuleOf(shape),
          k_(static_cast<int>(config.integer("streams"))),
          dynamic_(config.flag("dynamic")) {}

    int rows(int) const override { return k_; }
    int stream_rows() const override { return k_; }
    std::vector<RuleParam> params(int l) const override {
        using Is = RuleParam::Is;
        if (l > sublayers()) return {};
        std::vector<double> alpha(static_cast<std::size_t>(k_ * (k_ + 1)), 0.0);
        for (int j = 0; j < k_; ++j) {
            alpha[static_cast<std::size_t>(j * (k_ + 1))] = j == layout().block(l) % k_ ? 1.0 : 0.0;
            alpha[static_cast<std::size_t>(j * (k_ + 1) + 1 + j)] = 1.0;
        }
        const Index c = shape().channels;
        std::vector<RuleParam> all{
            {Is::numbers, "alpha", {{'K', k_}, {'M', k_ + 1}}, Init::values(std::move(alpha))},
            {Is::numbers, "beta", {{'K', k_}}, Init::constant(1.0)}};
        if (!dynamic_) return all;
        all.push_back({Is::vectors, "alpha_proj", {{'M', k_ + 1}, {'C', c}}, Init::constant(0.0)});
        all.push_back({Is::vectors, "beta_proj", {{'C', c}}, Init::constant(0.0)});
        all.push_back({Is::numbers, "alpha_scale", {{'G', 1}}, Init::constant(0.01)});
        all.push_back({Is::numbers, "beta_scale", {{'G', 1}}, Init::constant(0.01)});
        return all;
    }
    Dots read_dots(int l) const override {  // m sums of w; then of each stream: sum, square, w X
        Dots all;
        if (!dynamic_ || l > sublayers()) return all;
        for (int i = 0; i < m(); ++i) all.push_back({Operand::ones(), Operand::vector(i)});
        for (int j = 0; j < k_; ++j) {
            all.push_back({Operand::row(j), Operand::ones()});
            all.push_back({Operand::row(j), Operand::row(j)});
            for (int i = 0; i < m(); ++i) all.push_back({Operand::row(j), Operand::vector(i)});
        }
        return all;
    }
    template <class N>
    void c(int l, const N* u, const N* p, N* c) const {
        for (int j = 0; j < k_; ++j) c[j] = l > sublayers() ? N(1) : weight(j, 0, u, p);
    }
    template <class N>
    void A(int, const N* u, const N*, const N* p, N* a) const {
        for (int k = 0; k < k_; ++k) {
            for (int j = 0; j < k_; ++j) a[k * (k_ + 1) + j] = weight(j, 1 + k, u, p);
            a[k * (k_ + 1) + k_] = weight(k, k_ + 1, u, p);
        }
    }

private:
    int m() const { return k_ + 2; }
    // Number i of stream j: [alpha[j,:] | beta[j]].
    template <class N>
    N weight(int j, int i, const N* u, const N* p) const {
        using std::sqrt, std::tanh;
        const int n_alpha = k_ * (k_ + 1);
        const N fixed = i <= k_ ? p[j * (k_ + 1) + i] : p[n_alpha + j];
        if (!dynamic_) return fixed;
        const N* x = u + m() + j * (2 + m());  // sum, square, w X
        const N scale(1.0 / static_cast<double>(shape().channels)), mean = scale * x[0];
        const N rstd = N(1) / sqrt(scale * x[1] - mean * mean + N(shape().norm_eps));
        const N z = (x[2 + i] - mean * u[i]) * rstd;
        return fixed + p[n_alpha + k_ + (i <= k_ ? 0 : 1)] * tanh(z);
    }
    int k_;
    bool dynamic_;
};

}  // namespace

MixerOption dynamic_option() {
    return {"dynamic", true,
            "true: the mixing weights depend on the token; false: they are learned constants"};
}
std::vector<MixerOption> hyper_options() { return {streams_option(), dynamic_option()}; }
MixerMakers hyper_mixer() { return mixer_on_streams<HyperRule>(); }

}  // namespace plumb
