// What mHC (mhc.cpp) and its relatives have in common. K streams X, x = flatten(X) (K*C), one phi
// (2K + n_res, K*C) a sublayer, rows [pre|post|res]:
//
//     z = a * (phi x / rms(x)) + b,   a = (a_pre, a_post, a_res)
//     pre = sigmoid(z) + 1e-6,   post = 2 sigmoid(z),   res (K, K) from z, sum_s res[s,k] = 1
//     h = pre^T X,   X' = res^T X + post v^T
//
// Output: mean (default) or sum of the streams, or learned: pre of a phi (K, K*C) of its own.
// Init: a = 0.01; biases by bias_init (the sources disagree, paper-notes.md):
//     identity (default, ours)  pre 1/K, post 1, res ~ I: standard at init up to scale, mhc_lite to
//                               e^-8, mhc to about 1 % (its phi is not 0)
//     zero (Megatron-LM)        pre 1/2, post 1, res 1/K
//     one_hot (mhc-lite)        pre, post biases +1 on stream (transformer block mod K), -1
//                               elsewhere; res ~ I
//
// A relative R says what res is made of:
//     int n_res() const                      numbers z of res
//     bool is_identity(int i) const          those that are large where res is I
//     Init phi_init(Index fan_in, Index rows) const
//     template <class N> void res(N* z) const    z (n_res) becomes res (K, K); room for both
#pragma once

#include "mixers/memories/streams_mixer.h"

namespace plumb {

template <class R>
class MhcFamily : public RuleOf<R> {
public:
    static constexpr int kMostRes = 64;  // numbers z of res
    static constexpr double kPreEps = 1e-6, kOffDiagonal = -8.0;

    MhcFamily(const MixerConfig& config, const MixerShape& shape)
        : RuleOf<R>(shape),
          k_(static_cast<int>(config.integer("streams"))),
          bias_init_(config.text("bias_init")),
          reduction_(config.text("reduction")) {}

    int rows(int) const override { return k_; }
    int stream_rows() const override { return k_; }
    std::vector<RuleParam> params(int l) const override {
        using Is = RuleParam::Is;
        if (m(l) == 0) return {};
        const Index fan_in = k_ * this->shape().channels;
        return {
            {Is::vectors, "phi", {{'M', m(l)}, {'X', fan_in}}, self().phi_init(fan_in, m(l))},
            {Is::numbers, "bias", {{'M', m(l)}}, Init::values(initial_bias(l))},
            {Is::numbers, "scale", {{'G', l > this->sublayers() ? 1 : 3}}, Init::constant(0.01)}};
    }
    Dots read_dots(int l) const override {  // <x, x>, phi x
        Dots all;
        if (m(l) > 0) all.push_back({Operand::row(0), Operand::row(0), -1, k_});
        for (int i = 0; i < m(l); ++i)
            all.push_back({Operand::row(0), Operand::vector(i * k_), -1, k_});
        return all;
    }
    template <class N>
    void c(int l, const N* u, const N* p, N* c) const {
        for (int s = 0; s < k_; ++s)
            c[s] = m(l) > 0 ? sigmoid(z(l, s, u, p)) + N(kPreEps)
                            : N(reduction_ == "mean" ? 1.0 / k_ : 1.0);
    }
    template <class N>
    void A(int l, const N* u, const N*, const N* p, N* a) const {
        N res[kMostRes]{};
        for (int i = 2 * k_; i < m(l); ++i) res[i - 2 * k_] = z(l, i, u, p);
        self().res(res);
        for (int k = 0; k < k_; ++k) {
            for (int s = 0; s < k_; ++s) a[k * (k_ + 1) + s] = res[s * k_ + k];
            a[k * (k_ + 1) + k_] = N(2) * sigmoid(z(l, k_ + k, u, p));
        }
    }

protected:
    int k() const { return k_; }

private:
    const R& self() const { return static_cast<const R&>(*this); }
    // Rows of phi: [pre | post | res], or pre alone.
    int m(int l) const {
        return l <= this->sublayers() ? 2 * k_ + self().n_res() : reduction_ == "learned" ? k_ : 0;
    }
    int part(int i) const { return i < k_ ? 0 : i < 2 * k_ ? 1 : 2; }
    std::vector<double> initial_bias(int l) const {
        std::vector<double> b(static_cast<std::size_t>(m(l)), 0.0);
        if (bias_init_ == "zero") return b;
        const double even = k_ > 1 ? -std::log(k_ - 1.0) : -kOffDiagonal;  // sigmoid = 1/K
        for (int i = 0; i < m(l); ++i) {
            double& x = b[static_cast<std::size_t>(i)];
            if (part(i) == 2)
                x = self().is_identity(i - 2 * k_) ? 0.0 : kOffDiagonal;
            else if (bias_init_ == "one_hot")
                x = i % k_ == this->layout().block(l) % k_ ? 1.0 : -1.0;
            else if (part(i) == 0)
                x = even;
        }
        return b;
    }
    template <class N>
    N z(int l, int i, const N* u, const N* p) const {
        using std::sqrt;
        const double scale = 1.0 / static_cast<double>(k_ * this->shape().channels);
        const N rstd = N(1) / sqrt(N(scale) * u[0] + N(this->shape().norm_eps));
        return p[m(l) + part(i)] * (rstd * u[1 + i]) + p[i];
    }
    int k_;
    std::string bias_init_, reduction_;
};

inline MixerOption bias_init_option() {
    return {"bias_init", "identity", "where the biases of the three mappings start",
            Choices{"identity", "zero", "one_hot"}};
}
inline MixerOption reduction_option() {
    return {"reduction", "mean", "how the K streams become the one that the final norm reads",
            Choices{"mean", "sum", "learned"}};
}

}  // namespace plumb
