// A stationary Markov chain of given order with its exact entropy rate: the one data source whose
// lowest possible loss is known to machine precision.
#pragma once

#include "core/view.h"

#include <vector>

namespace plumb {

// State = the last `order` symbols, (x_1 .. x_order) as a number in base `vocab`, oldest digit
// first; S = vocab^order states. Transition probabilities are softmax over next symbols of
// 2 * N(0, 1), drawn from a stream named by (vocab, order) alone: the same chain in every run.
class MarkovChain {
public:
    static constexpr Index kMaxStates = 1024;  // the stationary distribution is a dense solve

    // vocab >= 2, order >= 1. Throws UsageError unless S <= kMaxStates.
    MarkovChain(Index vocab, Index order);

    Index vocab() const { return vocab_; }
    Index order() const { return order_; }
    Index n_states() const { return n_states_; }
    Index next_state(Index state, Index symbol) const {
        return (state * vocab_ + symbol) % n_states_;
    }

    double probability(Index state, Index symbol) const;   // p(symbol | state), > 0
    double stationary(Index state) const;                  // pi P = pi, sums to 1
    double entropy_rate() const { return entropy_rate_; }  // nats per symbol

    // The state, or the symbol after `state`, at quantile u in [0, 1) of its distribution.
    Index draw_state(double u) const;
    Index draw_symbol(Index state, double u) const;

private:
    void make_transitions();
    void solve_stationary();

    Index vocab_, order_, n_states_ = 1;
    std::vector<double> p_;           // (S, V)
    std::vector<double> p_sums_;      // (S, V) running sums along V
    std::vector<double> stationary_;  // (S)
    std::vector<double> stationary_sums_;
    double entropy_rate_ = 0;
};

}  // namespace plumb
