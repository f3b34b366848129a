// Attention Residuals (arXiv:2603.15031): softmax attention over depth.
//
//   full  (Eq. 2-4)  h_l = sum_{i<l} p_{l,i} v_i,  p_{l,.} = softmax_i <w_l, RMSNorm(v_i; g_l)>
//   block (Eq. 5-6)  the same over [b_0 = v_0, completed block sums b_n, running partial sum]
//
// Both are one class. A source i = 0..L is P_i: v_0, or the sum of the outputs of i's block up to
// sublayer i. P_i is read by every later sublayer if it completes its block, else by sublayer i+1
// alone. Full is block size 1. Values are raw; keys are normed; no 1/sqrt(d) (paper-notes.md).
//
// Weights before values: queries are parameters, so when P_i is written its logits with all its
// readers are one GEMM, s_{l,i} = rstd_i <P_i, u_l> with u_l = g_l * w_l. Backward pulls: with D_l
// = dLoss/dh_l kept for all l and delta_l = <h_l, D_l>, source i needs one pass over its readers:
//
//   ds_l = p_{l,i} (<P_i, D_l> - delta_l)
//   dP_i = sum_l p_{l,i} D_l + rstd_i (sum_l ds_l u_l - xhat_i sum_l ds_l s_{l,i} / C)
//   du_l += sum_tokens ds_l xhat_i
//
// Per token and full read: (S+1) C numbers moved, 4 S C flops with the logits; backward the same
// order. There is no parameter for l = 1, whose only source is v_0.
#include "core/parallel.h"
#include "mixers/materialised_mixer.h"
#include "ops/depth_mix.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

template <class Real>
class AttnRes final : public MaterialisedMixer<Real> {
public:
    AttnRes(const MixerShape& shape, int block_size, bool key_gain);

    void declare(Plan& plan, ParamStore<Real>& params) override;
    void bind(const Arena& arena, ParamStore<Real>& params) override;
    View<const Real> stream(int l) const override { return source_[at(l)]; }

protected:
    // The first sublayer of a block writes its source in place, later ones add to the sum before.
    View<Real> do_slot(int l) override { return source_[at(l)]; }
    void do_begin(const Context& ctx) override;
    View<const Real> do_read(const Context& ctx, int l) override;
    void do_write(const Context& ctx, int l) override;
    View<Real> do_dslot(int) override { return d_; }
    void do_read_backward(const Context& ctx, int l) override;
    View<const Real> do_write_backward(const Context& ctx, int l) override;
    View<const Real> do_begin_backward(const Context& ctx) override;
    void do_depth_matrix(Index token, View<Real> m) const override;

private:
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    Index rows() const { return this->sublayers() + 1; }
    bool completes_block(int i) const { return i % block_size_ == 0 || i == this->sublayers(); }
    bool starts_block(int i) const { return i % block_size_ == 1 || block_size_ == 1; }
    int last_reader(int i) const { return completes_block(i) ? this->sublayers() + 1 : i + 1; }
    // Sources of sublayer l: the completed blocks and the newest partial sum, oldest first.
    const std::vector<int>& sources_of(int l) const { return reads_[at(l - 1)].sources; }
    // Weight of the k-th of those sources at token n; logit of source i for reader l.
    Real& weight(int l, Index n, Index k) const {
        return weights_.data[((l - 1) * this->shape().tokens + n) * rows() + k];
    }
    Real& logit(int i, Index n, int l) const {
        return logits_.data[(i * this->shape().tokens + n) * rows() + (l - 1)];
    }
    void score(const Context& ctx, int i);
    void pull(const Context& ctx, int i, bool add_carry);
    void queries_backward();

    struct Read {
        std::vector<int> sources;
        std::vector<const Real*> data;  // of those sources
        std::vector<Index> place;       // of source i in that list, -1 if it is not read
    };

    int block_size_;
    bool key_gain_;
    std::vector<Read> reads_;                  // index l - 1
    std::vector<ParamId> query_id_, gain_id_;  // index l - 2
    std::vector<View<Real>> query_, gain_, dquery_, dgain_;
    std::vector<TensorId> source_id_, h_id_;
    std::vector<View<Real>> source_;  // P_i (N, C), i = 0..L
    std::vector<View<Real>> h_;       // h_l, then D_l (N, C), index l - 1
    TensorId weights_id_, logits_id_, rstd_id_, delta_id_, u_id_, du_id_, d_id_, carry_id_, ds_id_;
    View<Real> weights_, logits_;  // (L+1, N, L+1)
    View<Real> rstd_, delta_;      // (L+1, N)
    View<Real> u_, du_;            // (L+1, C) row l - 1
    View<Real> d_, carry_;         // (N, C)
    View<Real> ds_;                // (N, L+1)
};

template <class Real>
AttnRes<Real>::AttnRes(const MixerShape& shape, int block_size, bool key_gain)
    : MaterialisedMixer<Real>(shape), block_size_(block_size), key_gain_(key_gain) {
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        Read read;
        for (int i = 0; i < l; ++i) {
            const bool reads = i == l - 1 || completes_block(i);
            read.place.push_back(reads ? std::ssize(read.sources) : -1);
            if (reads) read.sources.push_back(i);
        }
        reads_.push_back(std::move(read));
    }
}

template <class Real>
void AttnRes<Real>::declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = this->shape().tokens, c = this->shape().channels;
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
    for (int i = 0; i <= this->sublayers(); ++i) {
        source_id_.push_back(plan.declare<Real>(fmt::format("mixer.source.{}", i),
                                                this->token_shape(), Lifetime::saved));
        h_id_.push_back(plan.declare<Real>(fmt::format("mixer.read.{}", i + 1), this->token_shape(),
                                           Lifetime::saved));
    }
    const Shape square{{'L', rows()}, {'N', n}, {'S', rows()}};
    weights_id_ = plan.declare<Real>("mixer.weights", square, Lifetime::saved);
    logits_id_ = plan.declare<Real>("mixer.logits", square, Lifetime::saved);
    rstd_id_ = plan.declare<Real>("mixer.rstd", {{'S', rows()}, {'N', n}}, Lifetime::saved);
    delta_id_ = plan.declare<Real>("mixer.delta", {{'L', rows()}, {'N', n}}, Lifetime::scratch);
    u_id_ = plan.declare<Real>("mixer.u", {{'L', rows()}, {'C', c}}, Lifetime::saved);
    du_id_ = plan.declare<Real>("mixer.du", {{'L', rows()}, {'C', c}}, Lifetime::scratch);
    d_id_ = plan.declare<Real>("mixer.d", this->token_shape(), Lifetime::scratch);
    carry_id_ = plan.declare<Real>("mixer.carry", this->token_shape(), Lifetime::scratch);
    ds_id_ = plan.declare<Real>("mixer.ds", {{'N', n}, {'L', rows()}}, Lifetime::scratch);
}

template <class Real>
void AttnRes<Real>::bind(const Arena& arena, ParamStore<Real>& params) {
    for (const ParamId id : query_id_) {
        query_.push_back(params.value(id));
        dquery_.push_back(params.grad(id));
    }
    for (const ParamId id : gain_id_) {
        gain_.push_back(params.value(id));
        dgain_.push_back(params.grad(id));
    }
    for (const TensorId id : source_id_) source_.push_back(arena.view<Real>(id));
    for (const TensorId id : h_id_) h_.push_back(arena.view<Real>(id));
    for (Read& read : reads_)
        for (const int i : read.sources) read.data.push_back(source_[at(i)].data);
    weights_ = arena.view<Real>(weights_id_);
    logits_ = arena.view<Real>(logits_id_);
    rstd_ = arena.view<Real>(rstd_id_);
    delta_ = arena.view<Real>(delta_id_);
    u_ = arena.view<Real>(u_id_);
    du_ = arena.view<Real>(du_id_);
    d_ = arena.view<Real>(d_id_);
    carry_ = arena.view<Real>(carry_id_);
    ds_ = arena.view<Real>(ds_id_);
}

// ---- forward ------------------------------------------------------------------------------------

template <class Real>
void AttnRes<Real>::do_begin(const Context& ctx) {
    const Index c = this->shape().channels;
    std::fill(u_.data, u_.data + c, Real(0));  // l = 1 has no query
    std::fill(du_.data, du_.data + du_.count(), Real(0));
    for (std::size_t k = 0; k < query_.size(); ++k)
        for (Index j = 0; j < c; ++j)
            u_.row(static_cast<Index>(k) + 1)[j] =
                query_[k].data[j] * (key_gain_ ? gain_[k].data[j] : Real(1));
    score(ctx, 0);
}

// rstd_i, and s_{l,i} for every reader l of source i.
template <class Real>
void AttnRes<Real>::score(const Context& ctx, int i) {
    const Index n_tokens = this->shape().tokens, c = this->shape().channels;
    const int first = i + 1, last = last_reader(i);
    const View<Real> source = source_[at(i)];
    gemm(ctx, Op::none, Op::transpose, n_tokens, last - first + 1, c, Real(1), source.data, c,
         u_.row(first - 1), c, Real(0), &logit(i, 0, first), rows());
    const auto eps = static_cast<Real>(this->shape().norm_eps);
    for_tokens(ctx, n_tokens, [&](Index n) {
        const Real* x = source.row(n);
        const Real r = Real(1) / std::sqrt(dot(x, x, c) / static_cast<Real>(c) + eps);
        rstd_.data[i * n_tokens + n] = r;
        for (int l = first; l <= last; ++l) logit(i, n, l) *= r;
    });
}

template <class Real>
View<const Real> AttnRes<Real>::do_read(const Context& ctx, int l) {
    const std::vector<int>& list = sources_of(l);
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        Real max = logit(list[0], n, l), sum = 0;
        for (const int i : list) max = std::max(max, logit(i, n, l));
        for (std::size_t k = 0; k < list.size(); ++k)
            sum += weight(l, n, static_cast<Index>(k)) = std::exp(logit(list[k], n, l) - max);
        for (std::size_t k = 0; k < list.size(); ++k) weight(l, n, static_cast<Index>(k)) /= sum;
    });
    depth_mix<Real>(ctx, reads_[at(l - 1)].data, {&weight(l, 0, 0), rows()}, h_[at(l - 1)]);
    return h_[at(l - 1)];
}

template <class Real>
void AttnRes<Real>::do_write(const Context& ctx, int l) {
    if (!starts_block(l)) add<Real>(ctx, source_[at(l - 1)], source_[at(l)]);
    score(ctx, l);
}

// ---- backward -----------------------------------------------------------------------------------

// delta_l = <h_l, D_l>; then D_l takes h_l's place.
template <class Real>
void AttnRes<Real>::do_read_backward(const Context& ctx, int l) {
    const Index n_tokens = this->shape().tokens, c = this->shape().channels;
    const View<Real> h = h_[at(l - 1)];
    for_tokens(ctx, n_tokens, [&](Index n) {
        delta_.data[(l - 1) * n_tokens + n] = dot(h.row(n), d_.row(n), c);
        std::copy(d_.row(n), d_.row(n) + c, h.row(n));
    });
}

template <class Real>
void AttnRes<Real>::pull(const Context& ctx, int i, bool add_carry) {
    const Index n_tokens = this->shape().tokens, c = this->shape().channels;
    const int first = i + 1, last = last_reader(i);
    const View<Real> source = source_[at(i)];
    for_tokens(ctx, n_tokens, [&](Index n) {
        const Real* x = source.row(n);
        const Real r = rstd_.data[i * n_tokens + n];
        Real* out = carry_.row(n);
        Real* ds = ds_.row(n);
        if (!add_carry) std::fill(out, out + c, Real(0));
        Real along = 0;
        for (int l = first; l <= last; ++l) {
            const Real* d = h_[at(l - 1)].row(n);
            const Real p = weight(l, n, reads_[at(l - 1)].place[at(i)]);
            const Real t = p * (dot(x, d, c) - delta_.data[(l - 1) * n_tokens + n]) * r;
            ds[l - first] = t;  // ds_l rstd_i
            along += t * logit(i, n, l);
            const Real* u = u_.row(l - 1);
#pragma omp simd
            for (Index j = 0; j < c; ++j) out[j] += p * d[j] + t * u[j];
        }
        axpy(-along * r / static_cast<Real>(c), x, out, c);
    });
    gemm(ctx, Op::transpose, Op::none, last - first + 1, c, n_tokens, Real(1), ds_.data, rows(),
         source.data, c, Real(1), du_.row(first - 1), c);
}

template <class Real>
View<const Real> AttnRes<Real>::do_write_backward(const Context& ctx, int l) {
    // A source that goes on into l+1's partial sum also carries that sum's gradient.
    pull(ctx, l, /*add_carry=*/!completes_block(l));
    return carry_;
}

template <class Real>
View<const Real> AttnRes<Real>::do_begin_backward(const Context& ctx) {
    pull(ctx, 0, /*add_carry=*/false);
    queries_backward();
    return carry_;
}

// u = g * w: dw += g du, dg += w du.
template <class Real>
void AttnRes<Real>::queries_backward() {
    const Index c = this->shape().channels;
    for (std::size_t k = 0; k < query_.size(); ++k) {
        const Real* du = du_.row(static_cast<Index>(k) + 1);
        for (Index j = 0; j < c; ++j) {
            dquery_[k].data[j] += du[j] * (key_gain_ ? gain_[k].data[j] : Real(1));
            if (key_gain_) dgain_[k].data[j] += du[j] * query_[k].data[j];
        }
    }
}

// M[l,i] is the weight of the source that holds v_i.
template <class Real>
void AttnRes<Real>::do_depth_matrix(Index token, View<Real> m) const {
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const std::vector<int>& list = sources_of(l);
        for (int i = 0, k = 0; i < l; ++i) {
            while (list[at(k)] < i) ++k;
            m.data[(l - 1) * rows() + i] = weight(l, token, k);
        }
    }
}

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

template <class Real>
MixerPtr<Real> make_attn_res(const MixerConfig& config, const MixerShape& shape) {
    return std::make_unique<AttnRes<Real>>(shape, resolve_block_size(config, shape.sublayers),
                                           config.key_gain);
}
template MixerPtr<float> make_attn_res(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_attn_res(const MixerConfig&, const MixerShape&);

}  // namespace plumb
