#include "model/decoder.h"

#include "core/flush_to_zero.h"
#include "mixers/mixers.h"
#include "model/norms.h"
#include "ops/embedding.h"
#include "ops/linear_decode.h"

#include <algorithm>

namespace plumb {
namespace {

// Rows of a prefill walk, all sequences together: chunks of tokens for two threads, little waste
// where a prompt ends.
constexpr Index kPrefillRows = 2 * kTokenChunk;

}  // namespace

// ---- the walk -----------------------------------------------------------------------------------

// `width` positions of every sequence go through the model at once: row b * width + i.
template <class T>
class Decoder<T>::Walk {
public:
    // Declares the Transformer's parameters, in its order, and its own tensors by names that begin
    // with `prefix`. sublayer(l, ways): to be declared between two sites.
    template <class F>
    Walk(const TransformerShape& shape, const ModelConfig& resolved, Index width,
         const std::string& prefix, Plan& plan, ParamStore<Real>& params, F&& sublayer);
    Index width() const { return width_; }

    // Positions first .. first + count - 1 of text (B, T), count <= width.
    void run(const Context& ctx, const std::vector<SublayerDecoderPtr<T>>& sublayers,
             View<const std::int32_t> text, Index first, Index count);
    // After a run: (B width, V), overwritten.
    void logits(const Context& ctx, View<Real> out);

private:
    int sublayers() const { return mixer_->shape().sublayers(); }
    // norm(h_l), of each way.
    Inputs<const T> read(const Context& ctx, int l);

    Index width_, rows_;
    MixerPtr<T> mixer_;
    Norms<T> norms_;
    Param<Real> embed_, head_;           // (V, C)
    Tensor<std::int32_t> tokens_;        // (N)
    std::vector<std::int32_t> at_work_;  // the same on the host
};

template <class T>
void Decoder<T>::Walk::run(const Context& ctx, const std::vector<SublayerDecoderPtr<T>>& of,
                           View<const std::int32_t> text, Index first, Index count) {
    for (Index n = 0; n < rows_; ++n)  // rows beyond count repeat the last one and are not kept
        at_work_[static_cast<std::size_t>(n)] =
            text.row(n / width_)[first + std::min(n % width_, count - 1)];
    const View<std::int32_t> tokens = ctx(tokens_);
    put(tokens, at_work_.data());
    embedding<T>(ctx, tokens, ctx.value(embed_), mixer_->slot(ctx, 0));
    mixer_->begin(ctx);
    for (int l = 1; l <= sublayers(); ++l) {
        const Inputs<const T> x = read(ctx, l);
        of[static_cast<std::size_t>(l - 1)]->decode(ctx, {first, count, width_}, x,
                                                    mixer_->slot(ctx, l));
        mixer_->write(ctx, l);
    }
}

template <class T>
Inputs<const T> Decoder<T>::Walk::read(const Context& ctx, int l) {
    const typename Norms<T>::PreNorms site = norms_.at(ctx, l);
    const std::span<const PreNorm<T>> ways(site.data(), static_cast<std::size_t>(norms_.ways(l)));
    mixer_->read(ctx, l, ways);
    Inputs<const T> x;
    for (std::size_t way = 0; way < ways.size(); ++way) x[way] = ways[way].x;
    return x;
}

template <class T>
void Decoder<T>::Walk::logits(const Context& ctx, View<Real> out) {
    linear_decode<T>(ctx, read(ctx, sublayers() + 1).front(), ctx.value(head_), out);
}

template <class T>
template <class F>
Decoder<T>::Walk::Walk(const TransformerShape& shape, const ModelConfig& resolved, Index width,
                       const std::string& prefix, Plan& plan, ParamStore<Real>& params,
                       F&& sublayer)
    : width_(width),
      rows_(shape.batch * width),
      mixer_(make_mixer<T>(shape.mixer, {resolved.layout(), rows_, resolved.width,
                                         resolved.norm_eps, shape.device})),
      norms_(resolved, rows_, Norms<T>::For::decoding) {
    const ModelConfig& m = resolved;
    const Layout& layout = mixer_->shape().layout;
    embed_ = declare_table(params, "embed.weight", shape.vocab, m);
    for (int l = 1; l <= sublayers() + 1; ++l) {
        plan.set_prefix(prefix);
        norms_.declare_site(plan, params, layout.name(l), mixer_->ways(l));
        plan.set_prefix("");
        if (l <= sublayers()) sublayer(layout, l, mixer_->ways(l));
    }
    head_ = m.tied_head ? embed_ : declare_table(params, "head.weight", shape.vocab, m);
    plan.set_prefix(prefix);
    mixer_->declare(plan, params);
    tokens_ = plan.scratch<std::int32_t>("tokens", {{'N', rows_}});
    at_work_.resize(static_cast<std::size_t>(rows_));
    norms_.declare_scratch(plan);
    plan.set_prefix("");
}

// ---- the text -----------------------------------------------------------------------------------

template <class T>
Decoder<T>::Decoder(const TransformerShape& shape)
    : model_(shape.model.resolved()),
      vocab_(shape.vocab),
      batch_(shape.batch),
      plan_(shape.device),
      params_(shape.device) {
    require(vocab_ >= 1 && batch_ >= 1 && shape.threads >= 1, "vocab, batch, threads >= 1");
    const Index t = model_.context, most = std::clamp<Index>(kPrefillRows / batch_, 1, t);
    text_.resize(static_cast<std::size_t>(batch_ * t));
    logits_ = plan_.saved<Real>("logits", {{'B', batch_}, {'V', vocab_}});
    SublayerShape of{model_, batch_, 1, 1};
    of.ways = make_mixer<T>(shape.mixer,
                            {model_.layout(), 1, model_.width, model_.norm_eps, shape.device})
                  ->most_ways();
    work_ = std::make_unique<DecodeScratch<T>>(of, batch_ * most, plan_);
    const auto make = [&](const Layout& layout, int l, int ways) {
        of.ways = ways;
        sublayers_.push_back(
            make_sublayer_decoder<T>(layout.kind(l), layout.name(l), of, *work_, plan_, params_));
    };
    step_ = std::make_unique<Walk>(shape, model_, 1, "step.", plan_, params_, make);
    params_.share();
    prefill_ = std::make_unique<Walk>(shape, model_, most, "prefill.", plan_, params_,
                                      [](const Layout&, int, int) {});
}

template <class T>
Decoder<T>::~Decoder() = default;

template <class T>
void Decoder<T>::allocate(std::uint64_t seed) {
    params_.allocate(seed);
    frame_ = std::make_unique<Frame>(plan_, params_);
    work_->prepare(*frame_);
}

template <class T>
void Decoder<T>::reset() {
    held_ = cached_ = 0;
}

template <class T>
View<std::int32_t> Decoder<T>::text() {
    return {text_.data(), {{'B', batch_}, {'T', model_.context}}};
}

// tokens (B, n). Where the text is full, its newest T/2 tokens move to the front.
template <class T>
void Decoder<T>::append(View<const std::int32_t> tokens) {
    const View<std::int32_t> all = text();
    const Index n = tokens.count() / batch_, t = model_.context, kept = t / 2;
    require(tokens.count() == n * batch_, "Decoder: tokens are (B) or (B, n)");
    for (Index i = 0; i < n; ++i) {
        if (held_ == t) {
            for (Index b = 0; b < batch_; ++b) std::copy_n(all.row(b) + t - kept, kept, all.row(b));
            held_ = kept, cached_ = 0;
        }
        for (Index b = 0; b < batch_; ++b) all.row(b)[held_] = tokens.host().data[b * n + i];
        ++held_;
    }
}

template <class T>
void Decoder<T>::cache_until(const Context& ctx, Index end) {
    while (cached_ < end) {
        const Index count = std::min(prefill_->width(), end - cached_);
        prefill_->run(ctx, sublayers_, text(), cached_, count);
        cached_ += count;
    }
}

template <class T>
void Decoder<T>::prefill(const Context& context, View<const std::int32_t> tokens) {
    const FlushToZero flush;
    const Context ctx = context.in(*frame_);
    append(tokens);
    cache_until(ctx, held_);
}

template <class T>
View<const RealOf<T>> Decoder<T>::step(const Context& context, View<const std::int32_t> tokens) {
    require(tokens.count() == batch_, "Decoder::step: tokens are (B)");
    const FlushToZero flush;
    const Context ctx = context.in(*frame_);
    append(tokens);
    cache_until(ctx, held_ - 1);
    step_->run(ctx, sublayers_, text(), held_ - 1, 1);
    cached_ = held_;
    const View<Real> logits = ctx(logits_);
    step_->logits(ctx, logits);
    return logits;
}

template class Decoder<float>;
template class Decoder<double>;

}  // namespace plumb
