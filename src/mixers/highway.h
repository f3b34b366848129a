// Highway (Srivastava, Greff, Schmidhuber 2015, arXiv:1505.00387) per sublayer, coupled gates:
//
//     h_{l+1} = (1 - t_l) h_l + t_l v_l,    t_l = sigmoid(W_l g_l + b_l)
//
// The gate sees g_l = RMSNorm(h_l) without gain (or h_l, gate_input = raw). scalar: w_l (C), one
// gate a token; vector: W_l (C, C), one gate a channel, so that every channel is a group; static:
// b_l alone. W starts at 0, so that gates start at their bias. M[l,i] = t_i prod_{i<j<l} (1 - t_j);
// rows sum to 1.
#pragma once

#include "mixers/mixers.h"

namespace plumb {

class HighwayRule final : public RuleOf<HighwayRule> {
public:
    HighwayRule(const MixerConfig& config, const MixerShape& shape);

    // A gate a channel is no scalar: it has a pass of its own (highway_vector.cpp).
    bool vector() const { return vector_; }
    bool norm_input() const { return norm_input_; }
    // g = scale h
    template <class N>
    N scale(const N& square) const {
        return norm_input_ ? rstd(square) : N(1);
    }

    int groups() const override { return n_gates(); }
    std::vector<RuleParam> params(int l) const override;
    Dots read_dots(int l) const override;  // <h, h>, then <h, w> of every gate
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        for (int g = 0; g < n_gates(); ++g) c[g] = N(1);
    }
    template <class N>
    void A(int, const N* u, const N*, const N* b, N* a) const {
        for (int g = 0; g < n_gates(); ++g) {
            N z = b[g];
            if (!fixed_) z += scale(u[0]) * u[1 + g];
            const N t = sigmoid(z);
            a[2 * g] = N(1) - t;
            a[2 * g + 1] = t;
        }
    }

private:
    int n_gates() const { return vector_ ? static_cast<int>(shape().channels) : 1; }

    bool vector_, fixed_, norm_input_;
    std::vector<double> bias_;  // start, index l - 1
};

template <class T>
MixerPtr<T> make_highway_vector(HighwayRule rule);

}  // namespace plumb
