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
void AttnRes<T>::declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = this->shape().tokens, c = this->shape().channels, chunks = n_chunks(n);
    for (int l = 2; l <= this->sublayers() + 1; ++l) {
        const auto param = [&](const char* name, double init) {
            return params.declare({.name = this->site(l) + name,
                                   .shape = {{'C', c}},
                                   .init = Init::constant(init),
                                   .group = Group::mixer});
        };
        query_id_.push_back(param("query", 0.0));
        if (key_gain_) gain_id_.push_back(param("key_gain", 1.0));
    }
    for (int i = 0; i <= this->sublayers(); ++i)
        source_id_.push_back(plan.declare<T>(fmt::format("mixer.source.{}", i), this->token_shape(),
                                             Lifetime::saved));
    const auto saved = [&](const char* name, const Shape& shape) {
        return plan.declare<Real>(name, shape, Lifetime::saved);
    };
    const auto scratch = [&](const char* name, const Shape& shape) {
        return plan.declare<Real>(name, shape, Lifetime::scratch);
    };
    spare_id_ = plan.declare<T>("mixer.spare", this->token_shape(), Lifetime::scratch);
    if (kRounds && schedule_.block_size() > 1)
        carry_id_ = scratch("mixer.carry", this->token_shape());
    logits_id_ = saved("mixer.logits", {{'S', n_logits_}});
    lse_id_ = saved("mixer.lse", {{'N', n}, {'L', width()}});
    rstd_id_ = saved("mixer.rstd", {{'N', n}, {'S', rows()}});
    u_id_ = saved("mixer.u", {{'L', rows()}, {'C', c}});
    delta_id_ = scratch("mixer.delta", {{'N', n}, {'L', width()}});
    du_id_ = scratch("mixer.du", {{'L', rows()}, {'C', c}});
    du_partial_id_ = scratch("mixer.du_partial", {{'P', chunks}, {'U', rows() * c}});
    bench_rows_id_ = scratch("mixer.rows", {{'P', chunks}, {'R', kBenchRows}, {'C', c}});
    bench_numbers_id_ = scratch("mixer.numbers", {{'P', chunks}, {'R', bench_numbers()}});
}

template <class T>
void AttnRes<T>::bind(const Arena& arena, ParamStore<Real>& params) {
    for (const ParamId id : query_id_) {
        query_.push_back(params.value(id));
        dquery_.push_back(params.grad(id));
    }
    for (const ParamId id : gain_id_) {
        gain_.push_back(params.value(id));
        dgain_.push_back(params.grad(id));
    }
    for (const TensorId id : source_id_) source_.push_back(arena.view<T>(id));
    spare_ = arena.view<T>(spare_id_);
    if (carry_id_) carry_ = arena.view<Real>(carry_id_);
    logits_ = arena.view<Real>(logits_id_);
    lse_ = arena.view<Real>(lse_id_);
    rstd_ = arena.view<Real>(rstd_id_);
    u_ = arena.view<Real>(u_id_);
    delta_ = arena.view<Real>(delta_id_);
    du_ = arena.view<Real>(du_id_);
    du_partial_ = arena.view<Real>(du_partial_id_);
    bench_rows_ = arena.view<Real>(bench_rows_id_);
    bench_numbers_ = arena.view<Real>(bench_numbers_id_);
    d_.resize(at(this->sublayers() + 1));
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        old_.emplace_back();
        for (const int i : schedule_.read(l).old) old_.back().push_back(source_[at(i)].data);
        fresh_.push_back({mix(l).data});
        for (const int i : schedule_.read(l).fresh) fresh_.back().push_back(source_[at(i)].data);
    }
}

template <class T>
typename AttnRes<T>::Bench AttnRes<T>::bench(Index chunk) const {
    const Index c = this->shape().channels;
    Real* row = bench_rows_.data + chunk * kBenchRows * c;
    Real* number = bench_numbers_.row(chunk);
    return {.d = row,
            .out = row + c,
            .p = number,
            .s = number + width() * DepthSchedule::kMaxGroup,
            .t = number + 2 * width() * DepthSchedule::kMaxGroup,
            .du = du_partial_.row(chunk)};
}

// u = g * w; l = 1 has no query.
template <class T>
void AttnRes<T>::do_begin(const Context&) {
    const Index c = this->shape().channels;
    std::fill_n(u_.data, c, Real(0));
    for (std::size_t k = 0; k < query_.size(); ++k) {
        Real* u = u_.row(static_cast<Index>(k) + 1);
        for (Index j = 0; j < c; ++j)
            u[j] = query_[k].data[j] * (key_gain_ ? gain_[k].data[j] : Real(1));
    }
}

// dw += g du, dg += w du.
template <class T>
void AttnRes<T>::queries_backward() {
    const Index c = this->shape().channels;
    std::fill_n(du_.data, du_.count(), Real(0));
    add_partials<Real>(du_partial_, du_partial_.extent(0), du_);
    for (std::size_t k = 0; k < query_.size(); ++k) {
        const Real* du = du_.row(static_cast<Index>(k) + 1);
        for (Index j = 0; j < c; ++j) {
            dquery_[k].data[j] += du[j] * (key_gain_ ? gain_[k].data[j] : Real(1));
            if (key_gain_) dgain_[k].data[j] += du[j] * query_[k].data[j];
        }
    }
}

template <class T>
void AttnRes<T>::stream(int l, Index n, Real* out) const {
    const T* row = source_[at(l)].row(n);
    for (Index j = 0; j < this->shape().channels; ++j) out[j] = row[j];
}

// M[l,i] is the weight of the source that holds v_i.
template <class T>
void AttnRes<T>::do_depth_matrix(Index token, View<Real> m) const {
    for (int l = 1; l <= this->sublayers() + 1; ++l)
        for (int i = 0; i < l; ++i) {
            const int k = schedule_.holder(i, l);
            m.data[(l - 1) * rows() + i] = fast_exp(*logit(token, k, l) - lse_.row(token)[l - 1]);
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
    template typename AttnRes<T>::Bench AttnRes<T>::bench(Index) const;          \
    template void AttnRes<T>::queries_backward();                                \
    template MixerPtr<T> make_attn_res(const MixerConfig&, const MixerShape&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
