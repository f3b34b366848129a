#include "model/decoder.h"

#include "core/flush_to_zero.h"
#include "mixers/mixers.h"
#include "model/weights.h"
#include "ops/attention_decode.h"
#include "ops/embedding.h"
#include "ops/linear_decode.h"

#include <algorithm>

namespace plumb {
namespace {

// Rows of a prefill walk, all sequences together: chunks of tokens for two threads, little waste
// where a prompt ends.
constexpr Index kPrefillRows = 2 * kTokenChunk;

template <class T>
struct Caches {
    std::vector<KeyValueCache<T>> layers;  // of each attention sublayer
    DecodeWorkspace<RealOf<T>> work;
};

}  // namespace

// ---- the walk -----------------------------------------------------------------------------------

// `width` positions of every sequence go through the model at once: row b * width + i.
template <class T>
class Decoder<T>::Walk {
public:
    Walk(const TransformerShape& shape, const ModelConfig& resolved, Index width);
    Index width() const { return width_; }

    // Parameters in the Transformer's order. Two walks that declare into different stores get the
    // same ids, so that both bind to one of them.
    void declare(ParamStore<Real>& params);
    void bind(ParamStore<Real>& params, const Caches<T>& caches);

    // Positions first .. first + count - 1 of text (B, T), count <= width, into the caches.
    void run(const Context& ctx, View<const std::int32_t> text, Index first, Index count);
    // After a run: (B width, V), overwritten.
    void logits(const Context& ctx, View<Real> out);

private:
    // Sublayer l, or what the head reads (l = L+1).
    struct Site {
        ParamId gain_id;
        AttentionParams attention;
        MlpParams mlp;
        TensorId xhat_id, rstd_id;
        PreNorm<T> norm;
        KeyValueCache<T> cache;
        View<const Real> in, out;         // weights: qkv and out, or up and down
        View<const Real> gain_q, gain_k;  // (D) or empty
    };
    Site& site(int l) { return sites_[static_cast<std::size_t>(l - 1)]; }
    static bool is_attention(int l) { return l % 2 == 1; }
    int sublayers() const { return static_cast<int>(model_.sublayers()); }
    void bind_site(ParamStore<Real>& params, const Caches<T>& caches, int l);

    ModelConfig model_;
    Index vocab_, width_, rows_;
    AttentionShape attention_;
    Activation kind_;
    Plan plan_;
    std::optional<Arena> arena_;
    MixerPtr<T> mixer_;
    std::vector<Site> sites_;
    ParamId embed_id_, head_id_;
    TensorId tokens_id_, x_id_, qkv_id_, heads_id_, up_id_, act_id_;
    View<std::int32_t> tokens_;           // (N)
    View<T> x_, qkv_, heads_, up_, act_;  // (N, ..)
    View<const Real> embed_, head_;       // (V, C)
    DecodeWorkspace<Real> work_;
};

template <class T>
void Decoder<T>::Walk::run(const Context& ctx, View<const std::int32_t> text, Index first,
                           Index count) {
    for (Index n = 0; n < rows_; ++n)  // rows beyond count repeat the last one and are not kept
        tokens_.data[n] = text.row(n / width_)[first + std::min(n % width_, count - 1)];
    embedding<T>(ctx, tokens_, embed_, mixer_->slot(0));
    mixer_->begin(ctx);
    for (int l = 1; l <= sublayers(); ++l) {
        const Site& s = site(l);
        mixer_->read(ctx, l, s.norm);
        if (is_attention(l)) {
            linear_decode<T>(ctx, x_, s.in, qkv_);
            attention_decode<T>(ctx, attention_, {first, count, width_}, qkv_, s.gain_q, s.gain_k,
                                s.norm.eps, s.cache, work_, heads_);
            linear_decode<T>(ctx, heads_, s.out, mixer_->slot(l));
        } else {
            linear_decode<T>(ctx, x_, s.in, up_);
            activation<T>(ctx, kind_, up_, act_);
            linear_decode<T>(ctx, act_, s.out, mixer_->slot(l));
        }
        mixer_->write(ctx, l);
    }
}

template <class T>
void Decoder<T>::Walk::logits(const Context& ctx, View<Real> out) {
    mixer_->read(ctx, sublayers() + 1, site(sublayers() + 1).norm);
    linear_decode<T>(ctx, x_, head_, out);
}

template <class T>
Decoder<T>::Walk::Walk(const TransformerShape& shape, const ModelConfig& resolved, Index width)
    : model_(resolved),
      vocab_(shape.vocab),
      width_(width),
      rows_(shape.batch * width),
      attention_(attention_shape(resolved, shape.batch)),
      kind_(activation_of(resolved)),
      mixer_(make_mixer<T>(shape.mixer, {sublayers(), rows_, resolved.width, resolved.norm_eps})),
      sites_(static_cast<std::size_t>(sublayers() + 1)) {}

template <class T>
void Decoder<T>::Walk::declare(ParamStore<Real>& params) {
    const ModelConfig& m = model_;
    const auto scratch = [&](const std::string& name, Index columns) {
        return plan_.declare<T>(name, {{'N', rows_}, {'C', columns}}, Lifetime::scratch);
    };
    embed_id_ = declare_table(params, "embed.weight", vocab_, m);
    for (int l = 1; l <= sublayers() + 1; ++l) {
        const std::string name = site_name(l, sublayers());
        Site& s = site(l);
        s.gain_id = declare_norm(params, name, m);
        s.xhat_id = scratch(name + ".xhat", m.width);
        s.rstd_id = plan_.declare<Real>(name + ".rstd", {{'N', rows_}}, Lifetime::scratch);
        if (l > sublayers()) break;
        if (is_attention(l))
            s.attention = declare_attention(params, name, m);
        else
            s.mlp = declare_mlp(params, name, m);
    }
    head_id_ = m.tied_head ? embed_id_ : declare_table(params, "head.weight", vocab_, m);
    mixer_->declare(plan_, params);
    tokens_id_ = plan_.declare<std::int32_t>("tokens", {{'N', rows_}}, Lifetime::scratch);
    x_id_ = scratch("x", m.width);
    qkv_id_ = scratch("qkv", attention_.qkv_width());
    heads_id_ = scratch("heads", attention_.out_width());
    up_id_ = scratch("up", up_width(m));
    act_id_ = scratch("act", m.mlp_hidden);
}

template <class T>
void Decoder<T>::Walk::bind(ParamStore<Real>& params, const Caches<T>& caches) {
    arena_.emplace(std::move(plan_));
    mixer_->bind(*arena_, params);
    tokens_ = arena_->view<std::int32_t>(tokens_id_);
    x_ = arena_->view<T>(x_id_);
    qkv_ = arena_->view<T>(qkv_id_), heads_ = arena_->view<T>(heads_id_);
    up_ = arena_->view<T>(up_id_), act_ = arena_->view<T>(act_id_);
    embed_ = params.value(embed_id_), head_ = params.value(head_id_);
    work_ = caches.work;
    for (int l = 1; l <= sublayers() + 1; ++l) bind_site(params, caches, l);
}

template <class T>
void Decoder<T>::Walk::bind_site(ParamStore<Real>& params, const Caches<T>& caches, int l) {
    Site& s = site(l);
    s.norm.xhat = arena_->view<T>(s.xhat_id), s.norm.rstd = arena_->view<Real>(s.rstd_id);
    s.norm.gain = params.value(s.gain_id), s.norm.x = x_;
    s.norm.eps = static_cast<Real>(model_.norm_eps);
    if (l > sublayers()) return;
    const bool attention = is_attention(l);
    s.in = params.value(attention ? s.attention.qkv : s.mlp.up);
    s.out = params.value(attention ? s.attention.out : s.mlp.down);
    if (!attention) return;
    s.cache = caches.layers[static_cast<std::size_t>(l / 2)];
    if (!model_.qk_norm) return;
    s.gain_q = params.value(s.attention.gain_q), s.gain_k = params.value(s.attention.gain_k);
}

// ---- the text -----------------------------------------------------------------------------------

template <class T>
Decoder<T>::Decoder(const TransformerShape& shape)
    : model_(shape.model.resolved()), vocab_(shape.vocab), batch_(shape.batch) {
    require(vocab_ >= 1 && batch_ >= 1 && shape.threads >= 1, "vocab, batch, threads >= 1");
    const Index t = model_.context, d = model_.head_dim, h = model_.kv_heads;
    const Index room = cache_positions(t);
    step_ = std::make_unique<Walk>(shape, model_, 1);
    prefill_ =
        std::make_unique<Walk>(shape, model_, std::clamp<Index>(kPrefillRows / batch_, 1, t));
    step_->declare(params_);
    ParamStore<Real> same;
    prefill_->declare(same);
    text_id_ = plan_.declare<std::int32_t>("text", {{'B', batch_}, {'T', t}}, Lifetime::saved);
    logits_id_ = plan_.declare<Real>("logits", {{'B', batch_}, {'V', vocab_}}, Lifetime::saved);
    cos_id_ = plan_.declare<Real>("cos", {{'T', t}, {'D', d / 2}}, Lifetime::saved);
    sin_id_ = plan_.declare<Real>("sin", {{'T', t}, {'D', d / 2}}, Lifetime::saved);
    scores_id_ = plan_.declare<Real>("scores", {{'B', batch_ * h}, {'T', room}}, Lifetime::scratch);
    for (Index l = 0; l < model_.layers; ++l) {
        keys_id_.push_back(plan_.declare<T>(fmt::format("cache.{}.keys", l),
                                            {{'B', batch_}, {'H', h}, {'D', d}, {'T', room}},
                                            Lifetime::saved));
        values_id_.push_back(plan_.declare<T>(fmt::format("cache.{}.values", l),
                                              {{'B', batch_}, {'H', h}, {'T', t}, {'D', d}},
                                              Lifetime::saved));
    }
}

template <class T>
Decoder<T>::~Decoder() = default;

template <class T>
void Decoder<T>::allocate(std::uint64_t seed) {
    params_.allocate(seed);
    arena_.emplace(std::move(plan_));
    text_ = arena_->view<std::int32_t>(text_id_);
    logits_ = arena_->view<Real>(logits_id_);
    const View<Real> cos = arena_->view<Real>(cos_id_), sin = arena_->view<Real>(sin_id_);
    rope_table(model_.rope_base, cos, sin);
    Caches<T> caches{{}, {cos, sin, arena_->view<Real>(scores_id_)}};
    for (std::size_t l = 0; l < keys_id_.size(); ++l)
        caches.layers.push_back({arena_->view<T>(keys_id_[l]), arena_->view<T>(values_id_[l])});
    step_->bind(params_, caches);
    prefill_->bind(params_, caches);
}

template <class T>
void Decoder<T>::reset() {
    held_ = cached_ = 0;
}

// tokens (B, n). Where the text is full, its newest T/2 tokens move to the front.
template <class T>
void Decoder<T>::append(View<const std::int32_t> tokens) {
    const Index n = tokens.count() / batch_, t = model_.context, kept = t / 2;
    require(tokens.count() == n * batch_, "Decoder: tokens are (B) or (B, n)");
    for (Index i = 0; i < n; ++i) {
        if (held_ == t) {
            for (Index b = 0; b < batch_; ++b)
                std::copy_n(text_.row(b) + t - kept, kept, text_.row(b));
            held_ = kept, cached_ = 0;
        }
        for (Index b = 0; b < batch_; ++b) text_.row(b)[held_] = tokens.data[b * n + i];
        ++held_;
    }
}

template <class T>
void Decoder<T>::cache_until(const Context& ctx, Index end) {
    while (cached_ < end) {
        const Index count = std::min(prefill_->width(), end - cached_);
        prefill_->run(ctx, text_, cached_, count);
        cached_ += count;
    }
}

template <class T>
void Decoder<T>::prefill(const Context& ctx, View<const std::int32_t> tokens) {
    const FlushToZero flush;
    append(tokens);
    cache_until(ctx, held_);
}

template <class T>
View<const RealOf<T>> Decoder<T>::step(const Context& ctx, View<const std::int32_t> tokens) {
    require(tokens.count() == batch_, "Decoder::step: tokens are (B)");
    const FlushToZero flush;
    append(tokens);
    cache_until(ctx, held_ - 1);
    step_->run(ctx, text_, held_ - 1, 1);
    cached_ = held_;
    step_->logits(ctx, logits_);
    return logits_;
}

template class Decoder<float>;
template class Decoder<double>;

}  // namespace plumb
