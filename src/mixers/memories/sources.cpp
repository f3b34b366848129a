// Declaration, queries and depth matrix; the walk is in sources_forward.cpp and
// sources_backward.cpp.
#include "mixers/memories/sources.h"

#include "core/parallel.h"
#include "mixers/memories/source_matrix.h"
#include "mixers/memories/source_weights.h"
#include "mixers/plain_plan.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {
namespace {

// Rows of the rule that read l's c can be anything but 0 for, by source: row r is source
// min(r block_size, l - 1). -1 elsewhere.
std::vector<Index> seen_rows(const PlainPlan& plan, const Rule& rule, int l, int block_size) {
    std::vector<Index> row(static_cast<std::size_t>(l), -1);
    for (const PlainPlan::Term& term : plan.site(l).reads.front().terms) {
        const int r = term.entry % rule.rows(l);
        row[static_cast<std::size_t>(std::min(r * block_size, l - 1))] = r;
    }
    return row;
}

// Where the rule says constant weights: c at each site.
template <class Real>
auto constants_of(const SourceRule& from) {
    std::vector<typename ConstantWeights<Real>::From> reads;
    if (from.keys) return reads;
    const PlainPlan plan(*from.rule);
    for (int l = 1; l <= from.rule->sublayers() + 1; ++l)
        reads.push_back({l, false, seen_rows(plan, *from.rule, l, from.block_size)});
    return reads;
}

}  // namespace

DepthSchedule schedule_of(const SourceRule& from, DepthSchedule::Sizes most) {
    const PlainPlan plan(*from.rule);
    std::vector<std::vector<Index>> rows;
    for (int l = 1; l <= from.rule->sublayers() + 1; ++l)
        rows.push_back(seen_rows(plan, *from.rule, l, from.block_size));
    const auto sees = [&](int l, int i) {
        return rows[static_cast<std::size_t>(l - 1)][static_cast<std::size_t>(i)] >= 0;
    };
    return {from.rule->sublayers(), from.block_size, from.groups, sees, most};
}

template <class T>
Sources<T>::Sources(SourceRule from)
    : DepthMixer<T>(from.rule->shape()),
      keys_(from.keys),
      heads_(keys_ ? keys_->heads : 1),
      head_channels_(channels() / heads_),
      norms_(keys_ && keys_->norm_by_head ? heads_ : 1),
      norm_channels_(channels() / norms_),
      sources_(schedule_of(from)),
      constants_(*from.rule, constants_of<Real>(from)) {
    rule_ = std::move(from.rule);
    masked_ = keys_ && !divides();
    for (int l = 1; l <= rows(); ++l)
        for (int i = 0; i < l; ++i)
            masked_ = masked_ || (schedule().completes_block(i) && !schedule().sees(l, i));
    if (!keys_) return;
    plan_logits();
    plan_pieces();
}

template <class T>
void Sources<T>::plan_logits() {
    logit_offsets_.assign(at(rows() * rows()), -1);
    Index next = 0;
    for (int l = 1; l <= rows(); ++l) {
        const DepthSchedule::Read& read = schedule().read(l);
        if (l > read.first) {
            groups_.push_back(groups_.back());
            continue;
        }
        std::vector<Index> row(at(rows()), -1);
        Index n_rows = 0;
        for (const int i : read.old) row[at(i)] = n_rows++;
        for (int i = l; i < read.last; ++i)
            if (schedule().completes_block(i)) row[at(i)] = n_rows++;
        const Index queries = sources_.queries(l);
        for (int q = l; q <= read.last; ++q)
            for (int i = 0; i < q; ++i) {  // partial sums share the last row
                const bool partial = i == q - 1 && !schedule().completes_block(i);
                const Index r = partial ? n_rows : row[at(i)];
                if (r >= 0) logit_offsets_[at((q - 1) * rows() + i)] = next + r * queries + (q - l);
            }
        ++n_rows;
        const Index head = n_rows * queries;
        groups_.push_back({next, n_rows, queries, l, head, head * heads()});
        next += groups_.back().token * this->shape().tokens;
    }
    n_logits_ = next + kStep;
}

// Groups of reads in order: what is copied past the end of one is overwritten by the next.
template <class T>
void Sources<T>::plan_pieces() {
    for (int l = 1; l <= rows(); ++l) {
        const DepthSchedule::Pull& pull = schedule().pull(l - 1);
        require(
            pull.readers.front() == l && pull.readers.back() - l + 1 == std::ssize(pull.readers),
            "keys: readers of a source follow each other");
        pieces_.emplace_back();
        for (int q = l; q <= pull.readers.back(); q = schedule().read(q).last + 1)
            for (std::size_t k = 0; k < pull.sources.size(); ++k)
                pieces_.back().push_back({logit_offsets_[at((q - 1) * rows() + pull.sources[k])],
                                          group(q).token, group(q).head,
                                          static_cast<Index>(k) * width() + (q - l)});
    }
}

template <class T>
void Sources<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index c = channels(), chunks = n_chunks(this->shape().tokens);
    for (int l = 1; l <= rows(); ++l) {
        params_.emplace_back();
        for (const RuleParam& p : rule_->params(l))
            params_.back().push_back(params.declare(param_spec(p, l, this->layout())));
    }
    const Tensor<T> spare = plan.scratch<T>("mixer.spare", this->token_shape());
    sources_.declare(plan, "mixer.source", this->token_shape(), spare);
    if (kRounds && schedule().block_size() > 1)
        carry_ = plan.scratch<Real>("mixer.carry", this->token_shape());
    if (keys_) {
        declare_keys(plan);
    } else {
        constants_.declare(plan, params_);
        dw_partial_ = plan.cpu_scratch<double>("mixer.dw_partial",
                                               {{'P', chunks}, {'W', kMaxGroup * width()}});
    }
    bench_rows_ =
        plan.cpu_scratch<Real>("mixer.rows", {{'P', chunks}, {'R', 1 + kMaxGroup}, {'C', c}});
    bench_numbers_ =
        plan.cpu_scratch<Real>("mixer.numbers", {{'P', chunks}, {'R', bench_numbers()}});
}

template <class T>
void Sources<T>::declare_keys(Plan& plan) {
    const Index n = this->shape().tokens, c = channels();
    const Shape by_read{{'N', n}, {'H', heads()}, {'L', width()}};
    logits_ = plan.saved<Real>("mixer.logits", {{'S', n_logits_}});
    lse_ = plan.saved<Real>("mixer.lse", by_read);
    rstd_ = plan.saved<Real>("mixer.rstd", {{'N', n}, {'H', norms()}, {'S', rows()}});
    u_ = plan.saved<Real>("mixer.u", {{'L', rows()}, {'C', c}});
    delta_ = plan.scratch<Real>("mixer.delta", by_read);
    du_ = plan.scratch<Real>("mixer.du", {{'L', rows()}, {'C', c}});
    du_partial_ =
        plan.cpu_scratch<Real>("mixer.du_partial", {{'P', n_chunks(n)}, {'U', rows() * c}});
}

template <class T>
auto Sources<T>::memory(const Context& ctx) const -> Memory {
    return {.source = ctx(sources_.tensor(0)).data,
            .logits = ctx(logits_).data,
            .lse = ctx(lse_).data,
            .delta = ctx(delta_).data,
            .rstd = ctx(rstd_).data,
            .u = ctx(u_).data,
            .carry = ctx(carry_).data,
            .du_partial = ctx(du_partial_).data,
            .bench_rows = ctx(bench_rows_).data,
            .bench_numbers = ctx(bench_numbers_).data,
            .dw_partial = ctx(dw_partial_).data,
            .d = this->left_norms(ctx)};
}

template <class T>
auto Sources<T>::bench(const Memory& m, Index chunk) const -> Bench {
    const Index c = channels(), table = kMaxGroup * width();
    Real* row = m.bench_rows + chunk * (1 + kMaxGroup) * c;
    Real* number = m.bench_numbers + chunk * bench_numbers();
    return {.d = row,
            .out = row + c,
            .p = number,
            .s = number + table,
            .t = number + 2 * table,
            .along = number + (2 + heads() * kTile) * table,
            .du = m.du_partial ? m.du_partial + chunk * rows() * c : nullptr,
            .dw = m.dw_partial ? m.dw_partial + chunk * table : nullptr};
}

// u = gain * query; l = 1, whose only source is v_0, has none.
template <class T>
void Sources<T>::do_begin(const Context& ctx) {
    if (!keys_) return constants_.begin(ctx);
    const Index c = channels();
    const View<Real> us = ctx(u_);
    for (int l = 1; l <= rows(); ++l) {
        Real* u = us.row(l - 1);
        if (l == 1) {
            std::fill_n(u, c, Real(0));
            continue;
        }
        const Real *w = ctx.value(params_[at(l - 1)][0]).data, *g = nullptr;
        if (keys_->gain) g = ctx.value(params_[at(l - 1)][1]).data;
        for (Index j = 0; j < c; ++j) u[j] = w[j] * (g ? g[j] : Real(1));
    }
}

template <class T>
void Sources<T>::stream(const Context& ctx, int l, View<Real> out) const {
    widen<T>(ctx, ctx(sources_.tensor(l)), out);
}

// Rows as the schedule counts them, and the running gradient of a block where T rounds; with keys
// the logits, their sums and, backward, what they get, du once a chunk.
template <class T>
MovedNumbers Sources<T>::moves(DepthCall call, int l) const {
    const Index c = channels();
    if (call == DepthCall::read) {
        const DepthSchedule::Read& read = schedule().read(l);
        const Index queries = sources_.queries(l), n_old = std::ssize(read.old);
        const Index logits = l == read.first ? 1 + (n_old + 1) * queries : queries;
        return {schedule().read_rows(l) * c,
                keys_ ? heads() * (logits + 2 + std::ssize(read.fresh)) : 0};
    }
    if (call != DepthCall::read_backward) return {};
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    const Index n_sources = std::ssize(pull.sources), readers = std::ssize(pull.readers);
    const Index carried = carry_ ? 1 : 0, added = carry_ && pull.adds ? 1 : 0;
    MovedNumbers m{(schedule().pull_rows(l - 1) - added) * c, (carried + added) * c};
    if (keys_)
        m.real += heads() * ((n_sources + 2) * readers + 1) + norms() * n_sources +
                  2 * readers * c / kTokenChunk;
    return m;
}

// From the weights that the passes use.
template <class T>
auto Sources<T>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    return [this, ctx, memory = this->memory(ctx)](Index n, View<Real> m, int) {
        source_matrix(*rule_, schedule(), m, [&](int l, int i, int h) {
            return keys_
                       ? share(keys_->weights, *logit(memory, n, h, i, l), lse(memory, n, h)[l - 1])
                       : constants_.weight(ctx, l, i);
        });
    };
}

#define PLUMB_INSTANTIATE(T)                                                 \
    template Sources<T>::Sources(SourceRule);                                \
    template void Sources<T>::do_declare(Plan&, ParamStore<Real>&);          \
    template auto Sources<T>::memory(const Context&) const->Memory;          \
    template auto Sources<T>::bench(const Memory&, Index) const->Bench;      \
    template void Sources<T>::do_begin(const Context&);                      \
    template MovedNumbers Sources<T>::moves(DepthCall, int) const;           \
    template void Sources<T>::stream(const Context&, int, View<Real>) const; \
    template auto Sources<T>::do_matrices(const Context&) const->typename DepthMixer<T>::OfToken;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
