// Declaration, queries and depth matrix; the walk is in attn_res_forward.cpp and
// attn_res_backward.cpp.
#include "mixers/attn_res.h"

#include "core/parallel.h"
#include "mixers/attn_res_rule.h"
#include "mixers/plain.h"
#include "ops/exp.h"

#include <algorithm>

namespace plumb {

template <class T>
AttnRes<T>::AttnRes(const MixerShape& shape, const DepthSchedule& schedule, bool key_gain)
    : DepthMixer<T>(shape), schedule_(schedule), key_gain_(key_gain) {
    Index next = 0;
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const DepthSchedule::Read& read = schedule_.read(l);
        if (l > read.first) {
            groups_.push_back(groups_.back());
            continue;
        }
        Index n_rows = 1;
        for (int i = 0; i < read.last; ++i) n_rows += schedule_.completes_block(i);
        groups_.push_back({next, n_rows, read.last - l + 1, l});
        next += n_rows * (read.last - l + 1) * shape.tokens;
    }
    n_logits_ = next + kStep;
}

template <class T>
void AttnRes<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = this->shape().tokens, c = this->shape().channels, chunks = n_chunks(n);
    for (int l = 2; l <= this->sublayers() + 1; ++l) {
        const auto param = [&](const char* name, double init) {
            return params.declare({.name = this->site(l) + name,
                                   .shape = {{'C', c}},
                                   .init = Init::constant(init),
                                   .group = Group::mixer});
        };
        query_.push_back(param("query", 0.0));
        if (key_gain_) gain_.push_back(param("key_gain", 1.0));
    }
    for (int i = 0; i <= this->sublayers(); ++i)
        source_.push_back(plan.saved<T>(fmt::format("mixer.source.{}", i), this->token_shape()));
    source_.push_back(plan.scratch<T>("mixer.spare", this->token_shape()));
    if (kRounds && schedule_.block_size() > 1)
        carry_ = plan.scratch<Real>("mixer.carry", this->token_shape());
    logits_ = plan.saved<Real>("mixer.logits", {{'S', n_logits_}});
    lse_ = plan.saved<Real>("mixer.lse", {{'N', n}, {'L', width()}});
    rstd_ = plan.saved<Real>("mixer.rstd", {{'N', n}, {'S', rows()}});
    u_ = plan.saved<Real>("mixer.u", {{'L', rows()}, {'C', c}});
    delta_ = plan.scratch<Real>("mixer.delta", {{'N', n}, {'L', width()}});
    du_ = plan.scratch<Real>("mixer.du", {{'L', rows()}, {'C', c}});
    du_partial_ = plan.scratch<Real>("mixer.du_partial", {{'P', chunks}, {'U', rows() * c}});
    bench_rows_ = plan.scratch<Real>("mixer.rows", {{'P', chunks}, {'R', kBenchRows}, {'C', c}});
    bench_numbers_ = plan.scratch<Real>("mixer.numbers", {{'P', chunks}, {'R', bench_numbers()}});
    for (const Tensor<T>& x : source_)
        offset_.push_back(static_cast<Index>((x.offset - source_[0].offset) / sizeof(T)));
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        fresh_.push_back({offset_[at(mix(l))]});
        for (const int i : schedule_.read(l).fresh) fresh_.back().push_back(offset_[at(i)]);
    }
}

template <class T>
auto AttnRes<T>::memory(const Context& ctx) const -> Memory {
    return {.source = ctx(source_[0]).data,
            .logits = ctx(logits_).data,
            .lse = ctx(lse_).data,
            .delta = ctx(delta_).data,
            .rstd = ctx(rstd_).data,
            .u = ctx(u_).data,
            .carry = ctx(carry_).data,
            .du_partial = ctx(du_partial_).data,
            .bench_rows = ctx(bench_rows_).data,
            .bench_numbers = ctx(bench_numbers_).data,
            .d = this->left_norms(ctx)};
}

template <class T>
auto AttnRes<T>::bench(const Memory& m, Index chunk) const -> Bench {
    const Index c = this->shape().channels;
    Real* row = m.bench_rows + chunk * kBenchRows * c;
    Real* number = m.bench_numbers + chunk * bench_numbers();
    return {.d = row,
            .out = row + c,
            .p = number,
            .s = number + width() * DepthSchedule::kMaxGroup,
            .t = number + 2 * width() * DepthSchedule::kMaxGroup,
            .du = m.du_partial + chunk * rows() * c};
}

// u = g * w; l = 1 has no query.
template <class T>
void AttnRes<T>::do_begin(const Context& ctx) {
    const Index c = this->shape().channels;
    const View<Real> us = ctx(u_);
    std::fill_n(us.data, c, Real(0));
    for (std::size_t k = 0; k < query_.size(); ++k) {
        Real* u = us.row(static_cast<Index>(k) + 1);
        const Real *w = ctx.value(query_[k]).data, *g = nullptr;
        if (key_gain_) g = ctx.value(gain_[k]).data;
        for (Index j = 0; j < c; ++j) u[j] = w[j] * (key_gain_ ? g[j] : Real(1));
    }
}

// dw += g du, dg += w du.
template <class T>
void AttnRes<T>::queries_backward(const Context& ctx) const {
    const Index c = this->shape().channels;
    const View<Real> dus = ctx(du_), partial = ctx(du_partial_);
    std::fill_n(dus.data, dus.count(), Real(0));
    add_partials<Real>(partial, partial.extent(0), dus);
    for (std::size_t k = 0; k < query_.size(); ++k) {
        const Real* du = dus.row(static_cast<Index>(k) + 1);
        const Real* w = ctx.value(query_[k]).data;
        Real* dw = ctx.grad(query_[k]).data;
        if (!key_gain_) {
            axpy(Real(1), du, dw, c);
            continue;
        }
        const Real* g = ctx.value(gain_[k]).data;
        Real* dg = ctx.grad(gain_[k]).data;
        for (Index j = 0; j < c; ++j) {
            dw[j] += du[j] * g[j];
            dg[j] += du[j] * w[j];
        }
    }
}

template <class T>
void AttnRes<T>::stream(const Context& ctx, int l, Index n, Real* out) const {
    const T* row = ctx(source_[at(l)]).row(n);
    for (Index j = 0; j < this->shape().channels; ++j) out[j] = row[j];
}

// M[l,i] is the weight of the source that holds v_i.
template <class T>
void AttnRes<T>::do_depth_matrix(const Context& ctx, Index token, View<Real> m) const {
    const Memory memory = this->memory(ctx);
    for (int l = 1; l <= this->sublayers() + 1; ++l)
        for (int i = 0; i < l; ++i) {
            const int k = schedule_.holder(i, l);
            m.data[(l - 1) * rows() + i] =
                fast_exp(*logit(memory, token, k, l) - lse(memory, token)[l - 1]);
        }
}

namespace {

int resolve_block_size(const MixerConfig& config, int sublayers) {
    if (config.name == "attnres") return 1;
    if (config.integer("block_size") < 0 || config.integer("n_blocks") < 0)
        throw UsageError("mixer.block_size and mixer.n_blocks must not be negative");
    if (config.integer("block_size") > 0 && config.integer("n_blocks") > 0)
        throw UsageError("mixer.block_size and mixer.n_blocks exclude each other; set one of them");
    if (config.integer("block_size") > sublayers || config.integer("n_blocks") > sublayers)
        throw UsageError(
            fmt::format("mixer.block_size={} mixer.n_blocks={}: the model has {} sublayers (2 per "
                        "model.layers); "
                        "use at most that many",
                        config.integer("block_size"), config.integer("n_blocks"), sublayers));
    if (config.integer("block_size") > 0) return static_cast<int>(config.integer("block_size"));
    const int blocks =
        config.integer("n_blocks") > 0 ? static_cast<int>(config.integer("n_blocks")) : 8;
    return std::max(1, (sublayers + blocks - 1) / blocks);
}

AttnResOptions resolve_options(const MixerConfig& config, const MixerShape& shape) {
    using Weights = AttnResOptions::Weights;
    using Query = AttnResOptions::Query;
    if (config.text("weights") == "raw")
        throw UsageError(
            "mixer.weights=raw: attnres has softmax, sigmoid and sigmoid_norm; raw "
            "learned numbers are static_mix");
    if (shape.channels % config.integer("heads") != 0)
        throw UsageError(fmt::format("mixer.heads={} does not divide model.width={}",
                                     config.integer("heads"), shape.channels));
    const bool no_query = config.text("query") == "none";
    if (no_query && (config.integer("heads") > 1 || !config.flag("key_norm")))
        throw UsageError(
            "mixer.query=none has no keys: mixer.heads and mixer.key_norm say nothing");
    return {.block_size = resolve_block_size(config, shape.sublayers),
            .key_gain = config.flag("key_gain"),
            .weights = config.text("weights") == "softmax"   ? Weights::softmax
                       : config.text("weights") == "sigmoid" ? Weights::sigmoid
                                                             : Weights::sigmoid_norm,
            .query = no_query                            ? Query::none
                     : config.text("query") == "learned" ? Query::learned
                                                         : Query::input,
            .key_norm = config.flag("key_norm"),
            .heads = static_cast<int>(config.integer("heads")),
            .norm_by_head = config.text("head_norm") == "head",
            .window = static_cast<int>(config.integer("window"))};
}

// Whether the two-phase passes do it.
bool is_fused(const AttnResOptions& o) {
    return o.weights == AttnResOptions::Weights::softmax &&
           o.query == AttnResOptions::Query::learned && o.key_norm && o.heads == 1 && o.window == 0;
}

}  // namespace

MixerOption weights_option() {
    return {"weights", "softmax",
            "how a read weighs its sources: softmax or sigmoid of logits, sigmoids divided by "
            "their sum (sigmoid_norm), or the learned numbers as they are (raw)",
            Choices{"softmax", "sigmoid", "sigmoid_norm", "raw"}};
}

std::vector<MixerOption> attn_res_options(bool blocks) {
    std::vector<MixerOption> all{
        {"key_gain", true, "whether the RMSNorm of the keys has a learned gain"}};
    if (blocks) {
        all.push_back({"block_size", 0L,
                       "sublayers whose outputs are summed into one block (0: n_blocks decides)",
                       within(0, 1e6)});
        all.push_back(
            {"n_blocks", 0L, "number of blocks (0: 8, unless block_size is set)", within(0, 1e6)});
    }
    all.push_back(weights_option());
    all.push_back({"query", "learned",
                   "what asks for a source: a learned vector, that plus a matrix times the newest "
                   "output (input), or none: learned numbers in place of query and keys",
                   Choices{"learned", "input", "none"}});
    all.push_back(
        {"key_norm", true, "whether keys are RMSNorm of the sources, or the sources themselves"});
    all.push_back(
        {"heads", 1L, "groups of channels that weigh the sources each by itself", within(1, 1e6)});
    all.push_back({"head_norm", "full",
                   "what the norm of a key is taken over: all channels or those of the head",
                   Choices{"full", "head"}});
    if (!blocks)
        all.push_back(
            {"window", 0L,
             "a read sees the embedding and this many of the newest other sources (0: all)",
             within(0, 1e6)});
    return all;
}

RulePtr attn_res_rule(const MixerConfig& config, const MixerShape& shape) {
    return std::make_unique<AttnResRule>(shape, resolve_options(config, shape));
}

template <class T>
MixerPtr<T> make_attn_res(const MixerConfig& config, const MixerShape& shape) {
    const AttnResOptions options = resolve_options(config, shape);
    if (!is_fused(options)) return std::make_unique<Plain<T>>(attn_res_rule(config, shape));
    const DepthSchedule schedule(shape.sublayers, options.block_size);
    return std::make_unique<AttnRes<T>>(shape, schedule, options.key_gain);
}

#define PLUMB_INSTANTIATE(T)                                                     \
    template AttnRes<T>::AttnRes(const MixerShape&, const DepthSchedule&, bool); \
    template auto AttnRes<T>::memory(const Context&) const->Memory;              \
    template auto AttnRes<T>::bench(const Memory&, Index) const->Bench;          \
    template void AttnRes<T>::queries_backward(const Context&) const;            \
    template MixerPtr<T> make_attn_res(const MixerConfig&, const MixerShape&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
