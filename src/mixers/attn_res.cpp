// Declaration, queries and depth matrix; the walk is in attn_res_forward.cpp and
// attn_res_backward.cpp.
#include "mixers/attn_res.h"

#include "core/parallel.h"
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
    if (config.block_size < 0 || config.n_blocks < 0)
        throw UsageError("mixer.block_size and mixer.n_blocks must not be negative");
    if (config.block_size > 0 && config.n_blocks > 0)
        throw UsageError("set mixer.block_size or mixer.n_blocks, not both");
    if (config.block_size > sublayers || config.n_blocks > sublayers)
        throw UsageError(
            fmt::format("mixer.block_size={} mixer.n_blocks={}: the model has {} sublayers (2 per "
                        "model.layers); "
                        "use at most that many",
                        config.block_size, config.n_blocks, sublayers));
    if (config.block_size > 0) return static_cast<int>(config.block_size);
    const int blocks = config.n_blocks > 0 ? static_cast<int>(config.n_blocks) : 8;
    return std::max(1, (sublayers + blocks - 1) / blocks);
}

}  // namespace

template <class T>
MixerPtr<T> make_attn_res(const MixerConfig& config, const MixerShape& shape) {
    const DepthSchedule schedule(shape.sublayers, resolve_block_size(config, shape.sublayers));
    return std::make_unique<AttnRes<T>>(shape, schedule, config.key_gain);
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
