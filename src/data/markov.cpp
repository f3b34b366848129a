#include "data/markov.h"

#include "core/rng.h"
#include "data/tasks.h"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace plumb {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// First i with u * total < sums[i]: u in [0, 1) never falls off the end, whatever the rounding.
Index quantile(const double* sums, Index n, double u) {
    const Index i = std::upper_bound(sums, sums + n, u * sums[n - 1]) - sums;
    return std::min(i, n - 1);
}

}  // namespace

MarkovChain::MarkovChain(Index vocab, Index order) : vocab_(vocab), order_(order) {
    require(vocab >= 2 && order >= 1, "a Markov chain over one symbol or of no order");
    for (Index k = 0; k < order && n_states_ <= kMaxStates; ++k) n_states_ *= vocab;
    if (n_states_ > kMaxStates)
        throw UsageError(fmt::format(
            "data.task_vocab={} data.task_order={}: vocab^order must be at most {}; type a smaller "
            "data.task_vocab or data.task_order",
            vocab, order, kMaxStates));
    make_transitions();
    solve_stationary();
}

void MarkovChain::make_transitions() {
    constexpr double kSpread = 2.0;
    const CounterRng rng(0, fmt::format("markov chain, vocab {}, order {}", vocab_, order_));
    p_.resize(at(n_states_ * vocab_));
    p_sums_.resize(p_.size());
    for (Index s = 0; s < n_states_; ++s) {
        double* row = p_.data() + s * vocab_;
        double total = 0;
        for (Index y = 0; y < vocab_; ++y) {
            row[y] = std::exp(kSpread * rng.normal(static_cast<std::uint64_t>(s * vocab_ + y)));
            total += row[y];
        }
        for (Index y = 0; y < vocab_; ++y) row[y] /= total;
        std::partial_sum(row, row + vocab_, p_sums_.data() + s * vocab_);
    }
}

// pi (P - I) = 0 with sum(pi) = 1 in place of one (redundant) equation. P is positive after `order`
// steps, so pi is unique. H = -sum_s pi_s sum_y p(y|s) log p(y|s).
void MarkovChain::solve_stationary() {
    Eigen::MatrixXd a = -Eigen::MatrixXd::Identity(n_states_, n_states_);
    for (Index s = 0; s < n_states_; ++s)
        for (Index y = 0; y < vocab_; ++y) a(next_state(s, y), s) += probability(s, y);
    const Eigen::MatrixXd balance = a;
    a.row(n_states_ - 1).setOnes();
    const Eigen::VectorXd one = Eigen::VectorXd::Unit(n_states_, n_states_ - 1);
    const Eigen::VectorXd pi = a.partialPivLu().solve(one);
    require((balance * pi).cwiseAbs().maxCoeff() <= 1e-12 && pi.minCoeff() >= 0,
            "the stationary distribution of the Markov chain does not satisfy pi P = pi");
    stationary_.assign(pi.data(), pi.data() + n_states_);
    stationary_sums_.resize(stationary_.size());
    std::partial_sum(stationary_.begin(), stationary_.end(), stationary_sums_.begin());
    for (Index s = 0; s < n_states_; ++s)
        for (Index y = 0; y < vocab_; ++y)
            entropy_rate_ -= stationary(s) * probability(s, y) * std::log(probability(s, y));
}

double MarkovChain::probability(Index state, Index symbol) const {
    return p_[at(state * vocab_ + symbol)];
}

double MarkovChain::stationary(Index state) const { return stationary_[at(state)]; }

Index MarkovChain::draw_state(double u) const {
    return quantile(stationary_sums_.data(), n_states_, u);
}

Index MarkovChain::draw_symbol(Index state, double u) const {
    return quantile(p_sums_.data() + state * vocab_, vocab_, u);
}

// ---- The task ----------------------------------------------------------------------------------

namespace {

// The chain is stationary from the first symbol on, so the expected loss of the best predictor is
// the entropy rate at every position that sees `order` symbols; only those are scored.
Task make_markov(const DataConfig& config, Index context) {
    const auto chain = std::make_shared<const MarkovChain>(config.options.integer("task_vocab"),
                                                           config.options.integer("task_order"));
    const Index order = chain->order(), vocab = chain->vocab();
    if (context < order)
        throw UsageError(
            fmt::format("model.context={} is too short for data.task_order={}: type "
                        "model.context={} or more",
                        context, order, order));
    const auto draw = [=](Draws& draws, TaskRow row) {
        Index state = chain->draw_state(draws.uniform());
        Index rest = state;
        for (Index i = order; i-- > 0; rest /= vocab)
            row.put(i, static_cast<std::int32_t>(rest % vocab), false);
        for (Index i = order; i <= context; ++i) {
            const Index symbol = chain->draw_symbol(state, draws.uniform());
            row.put(i, static_cast<std::int32_t>(symbol), true);
            state = chain->next_state(state, symbol);
        }
    };
    return {"markov", vocab, fmt::format("chain of order {} over {} symbols", order, vocab), draw,
            chain->entropy_rate()};
}

}  // namespace

TaskInfo markov_task() {
    return {"markov",
            "a fixed Markov chain from its stationary distribution; the next symbol is scored "
            "where the last `order` are known: the lowest possible loss is its entropy rate, "
            "printed",
            {task_vocab_option(),
             {"task_order", 1L, "symbols that the next one depends on", within(1, 64)}},
            make_markov};
}

}  // namespace plumb
