// mHC, manifold-constrained Hyper-Connections (Xie et al. 2025, arXiv:2512.24880), as the released
// kernels compute it. K streams X, x = flatten(X) (K*C), one phi (K*K+2K, K*C) a sublayer:
//
//     u = (phi x) / sqrt(mean(x^2) + eps),    z = a * u + b  with a = (a_pre, a_post, a_res)
//     pre = sigmoid(z) + 1e-6,   post = 2 sigmoid(z),   res = Sinkhorn(z), sum_s res[s,k] = 1
//     h = pre^T X,   X' = res^T X + post v^T
//
// mHC-lite (arXiv:2601.05732): res = sum_r w_r P_r over the K! permutations P_r in lexicographic
// order, w = softmax(z): doubly stochastic without iterations, with K! in place of K*K rows of phi.
//
// Output: mean or sum of the streams, or learned: pre of a phi (K, K*C) of its own.
// Init: a = 0.01, phi Xavier-uniform (mHC-lite: 0); biases by bias_init (the sources disagree,
// paper-notes.md):
//     identity (default, ours)  pre 1/K, post 1, res ~ I: standard at init up to rounding and scale
//     zero (Megatron-LM)        pre 1/2, post 1, res 1/K
//     one_hot (mhc-lite)        pre, post biases +1 on stream (transformer block mod K), -1
//                               elsewhere; res ~ I
#pragma once

#include "mixers/rule.h"

#include <array>
#include <numeric>

namespace plumb {

struct MhcOptions {
    int streams;
    int sinkhorn_iters;  // 0: permutations in place of Sinkhorn
    std::string bias_init, reduction;
};

class MhcRule final : public RuleOf<MhcRule> {
public:
    static constexpr int kMost = 8;  // streams
    static constexpr double kPreEps = 1e-6, kSinkhornEps = 1e-6, kOffDiagonal = -8.0;

    MhcRule(const MixerShape& shape, MhcOptions options)
        : RuleOf(shape), k_(options.streams), options_(std::move(options)) {}

    int rows(int) const override { return k_; }
    int stream_rows() const override { return k_; }
    std::vector<RuleParam> params(int l) const override {
        using Is = RuleParam::Is;
        if (m(l) == 0) return {};
        const Index fan_in = k_ * shape().channels;
        const double bound = std::sqrt(6.0 / static_cast<double>(fan_in + m(l)));
        return {{Is::vectors,
                 "phi",
                 {{'M', m(l)}, {'X', fan_in}},
                 lite() ? Init::constant(0.0) : Init::uniform(bound)},
                {Is::numbers, "bias", {{'M', m(l)}}, Init::values(initial_bias(l))},
                {Is::numbers, "scale", {{'G', l > sublayers() ? 1 : 3}}, Init::constant(0.01)}};
    }
    Dots read_dots(int l) const override {  // squares of the streams, then phi X stream by stream
        Dots all;
        for (int s = 0; m(l) > 0 && s < k_; ++s) all.push_back({Operand::row(s), Operand::row(s)});
        for (int i = 0; i < m(l); ++i)
            for (int s = 0; s < k_; ++s)
                all.push_back({Operand::row(s), Operand::vector(i * k_ + s)});
        return all;
    }
    template <class N>
    void c(int l, const N* u, const N* p, N* c) const {
        for (int s = 0; s < k_; ++s)
            c[s] = m(l) > 0 ? sigmoid(z(l, s, u, p)) + N(kPreEps)
                            : N(options_.reduction == "mean" ? 1.0 / k_ : 1.0);
    }
    template <class N>
    void A(int l, const N* u, const N*, const N* p, N* a) const {
        std::array<N, kMost * kMost> res{}, mixed{};
        for (int i = 2 * k_; i < m(l); ++i)
            res[static_cast<std::size_t>(i - 2 * k_)] = z(l, i, u, p);
        if (lite()) {
            mix_permutations(res.data(), mixed.data());
            res = mixed;
        } else {
            sinkhorn(res.data());
        }
        for (int k = 0; k < k_; ++k) {
            for (int s = 0; s < k_; ++s)
                a[k * (k_ + 1) + s] = res[static_cast<std::size_t>(s * k_ + k)];
            a[k * (k_ + 1) + k_] = N(2) * sigmoid(z(l, k_ + k, u, p));
        }
    }

private:
    // Rows of phi: [pre | post | res], or pre alone.
    int m(int l) const {
        return l <= sublayers() ? 2 * k_ + n_res() : options_.reduction == "learned" ? k_ : 0;
    }
    bool lite() const { return options_.sinkhorn_iters == 0; }
    int n_res() const {
        int n = 1;
        for (int i = 2; i <= k_; ++i) n *= i;
        return lite() ? n : k_ * k_;
    }
    int part(int i) const { return i < k_ ? 0 : i < 2 * k_ ? 1 : 2; }
    std::vector<double> initial_bias(int l) const {
        std::vector<double> b(static_cast<std::size_t>(m(l)), 0.0);
        if (options_.bias_init == "zero") return b;
        const double even = k_ > 1 ? -std::log(k_ - 1.0) : -kOffDiagonal;  // sigmoid = 1/K
        for (int i = 0; i < m(l); ++i) {
            double& x = b[static_cast<std::size_t>(i)];
            if (part(i) == 2)
                x = is_identity(i - 2 * k_) ? 0.0 : kOffDiagonal;
            else if (options_.bias_init == "one_hot")
                x = i % k_ == (l - 1) / 2 % k_ ? 1.0 : -1.0;
            else if (part(i) == 0)
                x = even;
        }
        return b;
    }
    // Whether row i of res is on the diagonal of R, or the first permutation.
    bool is_identity(int i) const { return lite() ? i == 0 : i % (k_ + 1) == 0; }
    template <class N>
    N z(int l, int i, const N* u, const N* p) const {
        using std::sqrt;
        N square(0), x(0);
        for (int s = 0; s < k_; ++s) square += u[s], x += u[k_ + i * k_ + s];
        const double fan_in = static_cast<double>(k_ * shape().channels);
        return p[m(l) + part(i)] * x / sqrt(square / N(fan_in) + N(shape().norm_eps)) + p[i];
    }
    // Softmax of the rows + eps, columns divided by their sum + eps, then (iters - 1) times rows
    // and columns: the order of the released kernels.
    template <class N>
    void sinkhorn(N* x) const {
        const auto at = [&](bool column, int i, int j) -> N& {
            return x[column ? j * k_ + i : i * k_ + j];
        };
        const auto normalise = [&](bool columns) {
            for (int i = 0; i < k_; ++i) {
                N sum(kSinkhornEps);
                for (int j = 0; j < k_; ++j) sum += at(columns, i, j);
                for (int j = 0; j < k_; ++j) at(columns, i, j) /= sum;
            }
        };
        for (int i = 0; i < k_; ++i) softmax(k_, x + i * k_, x + i * k_);
        for (int i = 0; i < k_ * k_; ++i) x[i] += N(kSinkhornEps);
        normalise(true);
        for (int pass = 1; pass < options_.sinkhorn_iters; ++pass) {
            normalise(false);
            normalise(true);
        }
    }
    template <class N>
    void mix_permutations(N* w, N* res) const {
        softmax(n_res(), w, w);
        std::array<int, kMost> to{};
        std::iota(to.begin(), to.end(), 0);
        for (int r = 0; r < n_res(); ++r) {
            for (int s = 0; s < k_; ++s) res[s * k_ + to[static_cast<std::size_t>(s)]] += w[r];
            std::next_permutation(to.begin(), to.begin() + k_);
        }
    }
    int k_;
    MhcOptions options_;
};

}  // namespace plumb
