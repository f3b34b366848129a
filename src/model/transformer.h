// The transformer as a walk along depth: embed, then read / norm / sublayer / write for l = 1..L,
// then the final read, norm, head and loss. Everything it needs is declared in the constructor and
// allocated once; nothing allocates inside a step.
#pragma once

#include "mixers/mixers.h"
#include "model/model_config.h"
#include "model/sublayer.h"
#include "record/recorder.h"

#include <memory>
#include <optional>
#include <vector>

namespace plumb {

struct TransformerShape {
    ModelConfig model;  // as written; resolved by the constructor
    MixerConfig mixer;
    Index vocab;
    Index batch;
    int threads = 1;
};

template <class Real>
class Transformer {
public:
    // Declares parameters and tensors. Throws UsageError for impossible extents.
    explicit Transformer(const TransformerShape& shape);
    // Allocates the arena and the parameters; initial values depend on (seed, name) alone.
    void allocate(std::uint64_t seed);

    // (N) each, to be filled by the caller: tokens in [0, V), targets in [-1, V), -1 = not scored.
    View<std::int32_t> tokens() const { return tokens_; }
    View<std::int32_t> targets() const { return targets_; }

    // Mean cross-entropy in nats over the scored tokens. Logits stay readable until backward.
    double forward(const Context& ctx, Recorder<Real>* recorder = nullptr);
    // Gradients of scale * loss are added to params().grads().
    void backward(const Context& ctx, Real scale = Real(1), Recorder<Real>* recorder = nullptr);

    View<const Real> logits() const { return logits_; }        // (N, V)
    View<const Real> token_losses() const { return losses_; }  // (N)
    // Weights of sublayer l (1..L), of the embedding (0), of the final norm and head (L+1).
    std::vector<ParamId> weights_at(int l) const;

    const ModelConfig& config() const { return shape_.model; }
    int sublayers() const { return static_cast<int>(shape_.model.sublayers()); }
    Index vocab() const { return vocab_; }
    DepthMixer<Real>& mixer() { return *mixer_; }
    ParamStore<Real>& params() { return params_; }
    const ParamStore<Real>& params() const { return params_; }
    const Plan& plan() const { return arena_ ? arena_->plan() : plan_; }

private:
    // Pre-norm of sublayer l, or the final norm (l = L+1).
    struct Norm {
        ParamId gain_id;
        TensorId xhat_id, rstd_id;
        View<Real> gain, dgain, xhat, rstd;  // (C), (C), (N, C), (N)
    };
    Norm& norm(int l) { return norms_[static_cast<std::size_t>(l - 1)]; }
    View<const Real> normed(const Context& ctx, int l);
    void norm_backward(const Context& ctx, int l, View<const Real> dx);
    void record(const Context& ctx, Quantity what, int l, View<const Real> x) {
        if (recorder_) recorder_->tensor(ctx, what, l, x);
    }

    SublayerShape shape_;
    Index vocab_;
    Plan plan_;
    ParamStore<Real> params_;
    std::optional<Arena> arena_;
    std::unique_ptr<DepthMixer<Real>> mixer_;
    std::unique_ptr<Workspace<Real>> work_;
    std::vector<std::unique_ptr<Sublayer<Real>>> sublayers_;
    std::vector<Norm> norms_;
    ParamId embed_id_, head_id_;
    TensorId tokens_id_, targets_id_, x_id_, dx_id_, partial_id_, logits_id_, losses_id_;
    View<std::int32_t> tokens_, targets_;       // (N)
    View<Real> embed_, dembed_, head_, dhead_;  // (V, C)
    View<Real> x_, dx_;           // (N, C) normed input of a sublayer, and its gradient
    View<Real> partial_;          // (chunks, C)
    View<Real> logits_, losses_;  // (N, V), (N)
    Recorder<Real>* recorder_ = nullptr;
};

// Training FLOPs per token, forward and backward: 6 per weight of a matrix product (the embedding
// is a lookup; mixer parameters count where they multiply a C-vector) plus causal attention, whose
// T (T+1)/2 scores cost 12 H D each for scores and values.
double train_flops_per_token(const ModelConfig& resolved, Index vocab, Index mixer_params);

}  // namespace plumb
