#include "model/decoder.h"

#include "core/flush_to_zero.h"
#include "mixers/mixers.h"
#include "model/weights.h"
#include "ops/attention_decode.h"
#include "ops/columns.h"
#include "ops/embedding.h"
#include "ops/linear_decode.h"

#include <algorithm>
#include <array>

namespace plumb {
namespace {

// Rows of a prefill walk, all sequences together: chunks of tokens for two threads, little waste
// where a prompt ends.
constexpr Index kPrefillRows = 2 * kTokenChunk;

}  // namespace

// Of all sublayers, in the frame that both walks run in.
template <class T>
struct Decoder<T>::Cache {
    Tensor<Real> cos, sin;                // (T, D/2) of rope_table
    Tensor<Real> scores;                  // (B Hkv, cache_positions(T))
    std::vector<Tensor<T>> keys, values;  // of attention sublayer l at [l / 2]
};

// ---- the walk -----------------------------------------------------------------------------------

// `width` positions of every sequence go through the model at once: row b * width + i.
template <class T>
class Decoder<T>::Walk {
public:
    // Declares the Transformer's parameters, in its order.
    Walk(const TransformerShape& shape, const ModelConfig& resolved, Index width, Plan& plan,
         ParamStore<Real>& params);
    Index width() const { return width_; }

    // Positions first .. first + count - 1 of text (B, T), count <= width, into the cache.
    void run(const Context& ctx, const Cache& cache, View<const std::int32_t> text, Index first,
             Index count);
    // After a run: (B width, V), overwritten.
    void logits(const Context& ctx, View<Real> out);

private:
    struct Norm {
        Param<Real> gain;
        Tensor<T> xhat;
        Tensor<Real> rstd;
    };
    // Sublayer l, or what the head reads (l = L+1).
    struct Site {
        std::vector<Norm> norms;  // of each way
        AttentionParams<Real> attention;
        MlpParams<Real> mlp;
    };
    const Site& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    const Layout& layout() const { return mixer_->shape().layout; }
    bool is_attention(int l) const { return layout().kind(l) == "attn"; }
    int sublayers() const { return layout().sublayers(); }
    PreNorm<T> pre_norm(const Context& ctx, int l, std::size_t way) const;
    void read(const Context& ctx, int l);
    void project(const Context& ctx, int l, View<T> qkv) const;

    ModelConfig model_;
    Index width_, rows_;
    AttentionShape attention_;
    Activation kind_;
    MixerPtr<T> mixer_;
    std::vector<Site> sites_;
    Param<Real> embed_, head_;            // (V, C)
    Tensor<std::int32_t> tokens_;         // (N)
    std::array<Tensor<T>, kMostWays> x_;  // (N, C)
    Tensor<T> qkv_, heads_, up_, act_;    // (N, ..)
    Tensor<T> part_;                      // (N, H D): q, k or v alone, if inputs are apart
};

template <class T>
void Decoder<T>::Walk::run(const Context& ctx, const Cache& cache, View<const std::int32_t> text,
                           Index first, Index count) {
    const View<std::int32_t> tokens = ctx(tokens_);
    for (Index n = 0; n < rows_; ++n)  // rows beyond count repeat the last one and are not kept
        tokens.data[n] = text.row(n / width_)[first + std::min(n % width_, count - 1)];
    const DecodeWorkspace<Real> work{ctx(cache.cos), ctx(cache.sin), ctx(cache.scores)};
    const View<T> x = ctx(x_.front()), qkv = ctx(qkv_), heads = ctx(heads_), up = ctx(up_),
                  act = ctx(act_);
    embedding<T>(ctx, tokens, ctx.value(embed_), mixer_->slot(ctx, 0));
    mixer_->begin(ctx);
    for (int l = 1; l <= sublayers(); ++l) {
        read(ctx, l);
        const View<T> v = mixer_->slot(ctx, l);
        if (is_attention(l)) {
            const AttentionParams<Real>& p = site(l).attention;
            const auto block = static_cast<std::size_t>(l / 2);
            project(ctx, l, qkv);
            attention_decode<T>(ctx, attention_, {first, count, width_}, qkv, ctx.value(p.gain_q),
                                ctx.value(p.gain_k), static_cast<Real>(model_.norm_eps),
                                {ctx(cache.keys[block]), ctx(cache.values[block])}, work, heads);
            linear_decode<T>(ctx, heads, ctx.value(p.out), v);
        } else {
            linear_decode<T>(ctx, x, ctx.value(site(l).mlp.up), up);
            activation<T>(ctx, kind_, up, act);
            linear_decode<T>(ctx, act, ctx.value(site(l).mlp.down), v);
        }
        mixer_->write(ctx, l);
    }
}

template <class T>
PreNorm<T> Decoder<T>::Walk::pre_norm(const Context& ctx, int l, std::size_t way) const {
    const Norm& n = site(l).norms[way];
    return {.xhat = ctx(n.xhat),
            .rstd = ctx(n.rstd),
            .gain = ctx.value(n.gain),
            .x = ctx(x_[way]),
            .eps = static_cast<Real>(model_.norm_eps),
            .dx = {},
            .dgain = {}};
}

template <class T>
void Decoder<T>::Walk::read(const Context& ctx, int l) {
    if (site(l).norms.size() == 1) return mixer_->read(ctx, l, pre_norm(ctx, l, 0));
    const std::array<PreNorm<T>, kMostWays> norms{pre_norm(ctx, l, 0), pre_norm(ctx, l, 1),
                                                  pre_norm(ctx, l, 2)};
    mixer_->read(ctx, l, norms);
}

// Queries, keys and values of x_, each from its own if there are several.
template <class T>
void Decoder<T>::Walk::project(const Context& ctx, int l, View<T> qkv) const {
    const View<Real> w = ctx.value(site(l).attention.qkv);
    if (site(l).norms.size() == 1) return linear_decode<T>(ctx, ctx(x_.front()), w, qkv);
    for (int i = 0; i < kMostWays; ++i) {
        const Index first = attention_.part_begin(i), width = attention_.part_width(i);
        const View<T> part{ctx(part_).data, {{'N', rows_}, {'Q', width}}, Device::cpu};
        const View<const Real> rows{w.row(first), {{'O', width}, {'I', w.extent(1)}}, Device::cpu};
        linear_decode<T>(ctx, ctx(x_[static_cast<std::size_t>(i)]), rows, part);
        put_columns<T>(ctx, part, first, qkv);
    }
}

template <class T>
void Decoder<T>::Walk::logits(const Context& ctx, View<Real> out) {
    read(ctx, sublayers() + 1);
    linear_decode<T>(ctx, ctx(x_.front()), ctx.value(head_), out);
}

template <class T>
Decoder<T>::Walk::Walk(const TransformerShape& shape, const ModelConfig& resolved, Index width,
                       Plan& plan, ParamStore<Real>& params)
    : model_(resolved),
      width_(width),
      rows_(shape.batch * width),
      attention_(attention_shape(resolved, shape.batch)),
      kind_(activation_of(resolved)),
      mixer_(make_mixer<T>(shape.mixer,
                           {resolved.layout(), rows_, resolved.width, resolved.norm_eps})) {
    const ModelConfig& m = model_;
    const auto scratch = [&](const std::string& name, Index columns) {
        return plan.scratch<T>(name, {{'N', rows_}, {'C', columns}});
    };
    embed_ = declare_table(params, "embed.weight", shape.vocab, m);
    for (int l = 1; l <= sublayers() + 1; ++l) {
        const std::string& name = layout().name(l);
        Site& s = sites_.emplace_back();
        for (int way = 0; way < mixer_->ways(l); ++way) {
            const std::string of = way == 0 ? name : fmt::format("{}.{}", name, way_name(way));
            s.norms.push_back({declare_norm(params, name, m, way), scratch(of + ".xhat", m.width),
                               plan.scratch<Real>(of + ".rstd", {{'N', rows_}})});
        }
        if (l > sublayers()) break;
        if (is_attention(l))
            s.attention = declare_attention(params, name, m);
        else
            s.mlp = declare_mlp(params, name, m);
    }
    head_ = m.tied_head ? embed_ : declare_table(params, "head.weight", shape.vocab, m);
    mixer_->declare(plan, params);
    tokens_ = plan.scratch<std::int32_t>("tokens", {{'N', rows_}});
    for (int way = 0; way < mixer_->most_ways(); ++way)
        x_[static_cast<std::size_t>(way)] =
            scratch(way == 0 ? "x" : fmt::format("x.{}", way_name(way)), m.width);
    if (mixer_->most_ways() > 1) part_ = scratch("part", attention_.out_width());
    qkv_ = scratch("qkv", attention_.qkv_width());
    heads_ = scratch("heads", attention_.out_width());
    up_ = scratch("up", up_width(m));
    act_ = scratch("act", m.mlp_hidden);
}

// ---- the text -----------------------------------------------------------------------------------

template <class T>
Decoder<T>::Decoder(const TransformerShape& shape)
    : model_(shape.model.resolved()), vocab_(shape.vocab), batch_(shape.batch) {
    require(vocab_ >= 1 && batch_ >= 1 && shape.threads >= 1, "vocab, batch, threads >= 1");
    const Index t = model_.context, d = model_.head_dim, h = model_.kv_heads;
    const Index room = cache_positions(t);
    text_ = plan_.saved<std::int32_t>("text", {{'B', batch_}, {'T', t}});
    logits_ = plan_.saved<Real>("logits", {{'B', batch_}, {'V', vocab_}});
    cache_ = std::make_unique<Cache>();
    cache_->cos = plan_.saved<Real>("cos", {{'T', t}, {'D', d / 2}});
    cache_->sin = plan_.saved<Real>("sin", {{'T', t}, {'D', d / 2}});
    cache_->scores = plan_.scratch<Real>("scores", {{'B', batch_ * h}, {'T', room}});
    for (Index l = 0; l < model_.layers; ++l) {
        cache_->keys.push_back(plan_.saved<T>(fmt::format("cache.{}.keys", l),
                                              {{'B', batch_}, {'H', h}, {'D', d}, {'T', room}}));
        cache_->values.push_back(plan_.saved<T>(fmt::format("cache.{}.values", l),
                                                {{'B', batch_}, {'H', h}, {'T', t}, {'D', d}}));
    }
    plan_.set_prefix("step.");
    step_ = std::make_unique<Walk>(shape, model_, 1, plan_, params_);
    plan_.set_prefix("prefill.");
    params_.share();
    prefill_ = std::make_unique<Walk>(shape, model_, std::clamp<Index>(kPrefillRows / batch_, 1, t),
                                      plan_, params_);
}

template <class T>
Decoder<T>::~Decoder() = default;

template <class T>
void Decoder<T>::allocate(std::uint64_t seed) {
    params_.allocate(seed);
    frame_ = std::make_unique<Frame>(plan_, params_);
    rope_table(model_.rope_base, frame_->view(cache_->cos), frame_->view(cache_->sin));
}

template <class T>
void Decoder<T>::reset() {
    held_ = cached_ = 0;
}

// tokens (B, n). Where the text is full, its newest T/2 tokens move to the front.
template <class T>
void Decoder<T>::append(const Context& ctx, View<const std::int32_t> tokens) {
    const View<std::int32_t> text = ctx(text_);
    const Index n = tokens.count() / batch_, t = model_.context, kept = t / 2;
    require(tokens.count() == n * batch_, "Decoder: tokens are (B) or (B, n)");
    for (Index i = 0; i < n; ++i) {
        if (held_ == t) {
            for (Index b = 0; b < batch_; ++b)
                std::copy_n(text.row(b) + t - kept, kept, text.row(b));
            held_ = kept, cached_ = 0;
        }
        for (Index b = 0; b < batch_; ++b) text.row(b)[held_] = tokens.data[b * n + i];
        ++held_;
    }
}

template <class T>
void Decoder<T>::cache_until(const Context& ctx, Index end) {
    while (cached_ < end) {
        const Index count = std::min(prefill_->width(), end - cached_);
        prefill_->run(ctx, *cache_, ctx(text_), cached_, count);
        cached_ += count;
    }
}

template <class T>
void Decoder<T>::prefill(const Context& context, View<const std::int32_t> tokens) {
    const FlushToZero flush;
    const Context ctx = context.in(*frame_);
    append(ctx, tokens);
    cache_until(ctx, held_);
}

template <class T>
View<const RealOf<T>> Decoder<T>::step(const Context& context, View<const std::int32_t> tokens) {
    require(tokens.count() == batch_, "Decoder::step: tokens are (B)");
    const FlushToZero flush;
    const Context ctx = context.in(*frame_);
    append(ctx, tokens);
    cache_until(ctx, held_ - 1);
    step_->run(ctx, *cache_, ctx(text_), held_ - 1, 1);
    cached_ = held_;
    const View<Real> logits = ctx(logits_);
    step_->logits(ctx, logits);
    return logits;
}

template class Decoder<float>;
template class Decoder<double>;

}  // namespace plumb
