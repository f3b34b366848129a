#include "model/transformer.h"

#include "core/flush_to_zero.h"
#include "model/weights.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {
namespace {

constexpr const char* kEmbedSite = "embed";

}  // namespace

// ---- the walk ---------------------------------------------------------------------------------

template <class T>
double Transformer<T>::forward(const Context& ctx, Recorder<Real>* recorder,
                               std::optional<DropoutKey> key) {
    const FlushToZero flush;
    recorder_ = recorder;
    work_->key = key;
    const int last = this->sublayers();
    for (const auto& sublayer : sublayers_) sublayer->prepare(ctx);
    head_.prepare(ctx);
    embedding<T>(ctx, tokens_, embed_, mixer_->slot(0));
    dropout<T>(ctx, work_->dropout(kEmbedSite), mixer_->slot(0));
    if (changed_) changed_->output(ctx, 0, mixer_->slot(0));
    record(ctx, Quantity::output, 0, mixer_->slot(0));
    mixer_->begin(ctx);
    for (int l = 1; l <= last; ++l) {
        const View<const T> x = normed(ctx, l);
        const View<T> v = mixer_->slot(l);
        const int sublayer = changed_ ? changed_->sublayer_at(l) : l;
        sublayers_[static_cast<std::size_t>(sublayer - 1)]->forward(ctx, x, v);
        if (changed_) changed_->output(ctx, l, v);
        record(ctx, Quantity::output, l, v);
        mixer_->write(ctx, l);
    }
    head_.forward(ctx, normed(ctx, last + 1), logits_);
    return cross_entropy<Real>(ctx, logits_, targets_, losses_);
}

template <class T>
void Transformer<T>::backward(const Context& ctx, Real scale, Recorder<Real>* recorder) {
    const FlushToZero flush;
    require(!changed_, "backward after a forward with interventions");
    recorder_ = recorder;
    const int last = this->sublayers();
    cross_entropy_backward<T>(ctx, logits_, targets_, losses_, scale, dlogits_);
    apply_gain<T>(ctx, norm(last + 1).xhat, norm(last + 1).gain, x_);
    head_.backward(ctx, dlogits_, x_, dx_);
    norm_backward(ctx, last + 1);
    for (int l = last; l >= 1; --l) {
        const View<const T> dv = mixer_->write_backward(ctx, l);
        record(ctx, Quantity::doutput, l, dv);
        apply_gain<T>(ctx, norm(l).xhat, norm(l).gain, x_);
        sublayers_[static_cast<std::size_t>(l - 1)]->backward(ctx, dv, x_, dx_);
        norm_backward(ctx, l);
    }
    View<const T> dv = mixer_->begin_backward(ctx);
    record(ctx, Quantity::doutput, 0, dv);
    if (const Dropout mask = work_->dropout(kEmbedSite)) {
        copy<T>(ctx, dv, work_->dv);
        dropout<T>(ctx, mask, work_->dv);
        dv = work_->dv;
    }
    embedding_backward<T>(ctx, tokens_, dv, dembed_);
}

template <class T>
void Transformer<T>::intervene(const Interventions* what) {
    changed_.reset();
    if (what) changed_ = std::make_unique<IntervenedWalk<T>>(*what, mixer_->shape());
}

// x_ = norm(h_l): what F_l, or the head, sees.
template <class T>
View<const T> Transformer<T>::normed(const Context& ctx, int l) {
    if (changed_) {
        PreNorm<T> site = norm(l);
        site.gain = norm(changed_->sublayer_at(l)).gain;
        mixer_->read(ctx, l, site);
        changed_->read(ctx, l, *mixer_, site);
    } else {
        mixer_->read(ctx, l, norm(l));
    }
    record(ctx, Quantity::stream, l - 1, mixer_->stream_width(),
           [&](Index n, Real* out) { mixer_->stream(l - 1, n, out); });
    record(ctx, Quantity::read_input, l, shape_.model.width,
           [&](Index n, Real* out) { norm(l).value(n, out); });
    return x_;
}

// The gradient of x_ is in dx_.
template <class T>
void Transformer<T>::norm_backward(const Context& ctx, int l) {
    record(ctx, Quantity::dread_input, l, shape_.model.width,
           [&](Index n, Real* out) { norm(l).gradient(n, out); });
    mixer_->read_backward(ctx, l, norm(l));
    add_partials<Real>(partial_, n_chunks(shape_.tokens()), norm(l).dgain_total);
}

template <class T>
template <class F>
void Transformer<T>::record(const Context& ctx, Quantity what, int l, Index width, F&& row) {
    if (!recorder_) return;
    recorded_.resize(static_cast<std::size_t>(shape_.tokens() * width));
    for (Index n = 0; n < shape_.tokens(); ++n) row(n, recorded_.data() + n * width);
    const Shape shape{{'N', shape_.tokens()}, {'C', width}};
    recorder_->tensor(ctx, what, l, {recorded_.data(), shape, Device::cpu});
}

template <class T>
void Transformer<T>::record(const Context& ctx, Quantity what, int l, View<const T> x) {
    record(ctx, what, l, x.extent(1),
           [&](Index n, Real* out) { std::copy_n(x.row(n), x.extent(1), out); });
}

template <class T>
int Transformer<T>::overflowed_read() const {
    for (std::size_t k = 0; k < norms_.size(); ++k) {
        const View<Real>& rstd = norms_[k].rstd;
        if (std::find(rstd.data, rstd.data + rstd.count(), Real(0)) != rstd.data + rstd.count())
            return static_cast<int>(k) + 1;
    }
    return 0;
}

// ---- declaration --------------------------------------------------------------------------------

template <class T>
Transformer<T>::Transformer(const TransformerShape& shape)
    : shape_{shape.model.resolved(), shape.batch, shape.threads}, vocab_(shape.vocab) {
    const ModelConfig& m = shape_.model;
    const Index n = shape_.tokens(), c = m.width;
    require(vocab_ >= 1 && shape.batch >= 1 && shape.threads >= 1, "vocab, batch, threads >= 1");
    const Shape token_shape{{'N', n}, {'C', c}};
    embed_id_ = declare_table(params_, "embed.weight", vocab_, m);
    work_ = std::make_unique<Workspace<T>>(shape_);
    work_->declare(plan_);
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const std::string site = site_name(l, this->sublayers());
        norms_.push_back({});
        norm(l).gain_id = declare_norm(params_, site, m);
        norm(l).xhat_id = plan_.declare<T>(site + ".xhat", token_shape, Lifetime::saved);
        norm(l).rstd_id = plan_.declare<Real>(site + ".rstd", {{'N', n}}, Lifetime::saved);
        if (l > this->sublayers()) break;
        const char* kind = l % 2 == 1 ? "attn" : "mlp";
        sublayers_.push_back(make_sublayer<T>(kind, site, shape_, *work_));
        sublayers_.back()->declare(plan_, params_);
    }
    head_id_ = m.tied_head ? embed_id_ : declare_table(params_, "head.weight", vocab_, m);
    mixer_ = make_mixer<T>(shape.mixer, {this->sublayers(), n, c, m.norm_eps});
    mixer_->declare(plan_, params_);
    tokens_id_ = plan_.declare<std::int32_t>("tokens", {{'N', n}}, Lifetime::saved);
    targets_id_ = plan_.declare<std::int32_t>("targets", {{'N', n}}, Lifetime::saved);
    x_id_ = plan_.declare<T>("work.x", token_shape, Lifetime::scratch);
    dx_id_ = plan_.declare<T>("work.dx", token_shape, Lifetime::scratch);
    partial_id_ =
        plan_.declare<Real>("work.partial", {{'P', n_chunks(n)}, {'C', c}}, Lifetime::scratch);
    head_.declare(plan_, m.tied_head ? "tied_head.weight" : "head.weight", n, vocab_, c);
    if (kRounds)
        dlogits_id_ =
            plan_.declare<T>("work.dlogits", {{'N', n}, {'V', vocab_}}, Lifetime::scratch);
    logits_id_ = plan_.declare<Real>("logits", {{'N', n}, {'V', vocab_}}, Lifetime::saved);
    losses_id_ = plan_.declare<Real>("losses", {{'N', n}}, Lifetime::saved);
}

template <class T>
void Transformer<T>::allocate(std::uint64_t seed) {
    params_.allocate(seed);
    arena_.emplace(std::move(plan_));
    work_->bind(*arena_);
    for (const auto& sublayer : sublayers_) sublayer->bind(*arena_, params_);
    mixer_->bind(*arena_, params_);
    x_ = arena_->view<T>(x_id_), dx_ = arena_->view<T>(dx_id_);
    partial_ = arena_->view<Real>(partial_id_);
    for (Norm& n : norms_) {
        n.gain = params_.value(n.gain_id), n.dgain_total = params_.grad(n.gain_id);
        n.xhat = arena_->view<T>(n.xhat_id), n.rstd = arena_->view<Real>(n.rstd_id);
        n.x = x_, n.dx = dx_, n.dgain = partial_;
        n.eps = static_cast<Real>(shape_.model.norm_eps);
    }
    embed_ = params_.value(embed_id_), dembed_ = params_.grad(embed_id_);
    head_.bind(*arena_, params_.value(head_id_), params_.grad(head_id_));
    tokens_ = arena_->view<std::int32_t>(tokens_id_);
    targets_ = arena_->view<std::int32_t>(targets_id_);
    logits_ = arena_->view<Real>(logits_id_), losses_ = arena_->view<Real>(losses_id_);
    if constexpr (kRounds)
        dlogits_ = arena_->view<T>(dlogits_id_);
    else
        dlogits_ = logits_;
}

template <class T>
std::vector<ParamId> Transformer<T>::weights_at(int l) const {
    if (l == 0) return {embed_id_};
    if (l <= this->sublayers()) return sublayers_[static_cast<std::size_t>(l - 1)]->weights();
    return {norms_.back().gain_id, head_id_};
}

double train_flops_per_token(const ModelConfig& m, Index vocab, Index mixer_params) {
    const double c = static_cast<double>(m.width), d = static_cast<double>(m.head_dim);
    const double h = static_cast<double>(m.heads), kv = static_cast<double>(m.kv_heads);
    const double f = static_cast<double>(m.mlp_hidden), t = static_cast<double>(m.context);
    const double attention = c * d * (h + 2 * kv) + h * d * c;
    const double mlp = (m.mlp == "swiglu" ? 3 : 2) * c * f;
    const double weights = static_cast<double>(m.layers) * (attention + mlp) +
                           static_cast<double>(vocab) * c + static_cast<double>(mixer_params);
    // scores and values: 2 products of 2 H D flops per pair, three times (forward, two gradients)
    const double pairs = static_cast<double>(m.layers) * 12 * h * d * (t + 1) / 2;
    return 6 * weights + pairs;
}

std::unique_ptr<Model<float>> make_model(const TransformerShape& shape,
                                         const std::string& precision) {
    if (precision == "fp32") return std::make_unique<Transformer<float>>(shape);
    if (precision == "bf16") return std::make_unique<Transformer<Bf16>>(shape);
    throw UsageError(fmt::format("train.precision={}: use fp32 or bf16", precision));
}

template class Transformer<float>;
template class Transformer<double>;
template class Transformer<Bf16>;

}  // namespace plumb
