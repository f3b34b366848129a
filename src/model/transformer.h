// The transformer as a walk along depth: embed, then read / norm / sublayer / write for l = 1..L,
// then the final read, norm, head and loss. Everything it needs is declared in the constructor and
// allocated once; nothing allocates inside a step.
#pragma once

#include "mixers/mixers.h"
#include "model/intervened_walk.h"
#include "model/model.h"
#include "model/sublayer.h"
#include "ops/linear.h"

#include <memory>
#include <optional>
#include <vector>

namespace plumb {

template <class T>
class Transformer final : public Model<RealOf<T>> {
public:
    using Real = RealOf<T>;

    // Declares parameters and tensors. Throws UsageError for impossible extents.
    explicit Transformer(const TransformerShape& shape);
    void allocate(std::uint64_t seed) override;

    View<std::int32_t> tokens() const override { return tokens_; }
    View<std::int32_t> targets() const override { return targets_; }
    double forward(const Context& ctx, Recorder<Real>* recorder = nullptr,
                   std::optional<DropoutKey> key = {}) override;
    void intervene(const Interventions* what) override;
    void backward(const Context& ctx, Real scale = Real(1),
                  Recorder<Real>* recorder = nullptr) override;

    View<const Real> logits() const override { return logits_; }
    View<const Real> token_losses() const override { return losses_; }
    int overflowed_read() const override;
    std::vector<ParamId> weights_at(int l) const override;

    const ModelConfig& config() const override { return shape_.model; }
    Index vocab() const override { return vocab_; }
    DepthMatrix<Real>& mixer() override { return *mixer_; }
    ParamStore<Real>& params() override { return params_; }
    const ParamStore<Real>& params() const override { return params_; }
    const Plan& plan() const override { return arena_ ? arena_->plan() : plan_; }

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;

    // Pre-norm of sublayer l, or the final norm (l = L+1).
    struct Norm : PreNorm<T> {
        ParamId gain_id;
        TensorId xhat_id, rstd_id;
        View<Real> dgain_total;  // (C)
    };
    Norm& norm(int l) { return norms_[static_cast<std::size_t>(l - 1)]; }
    View<const T> normed(const Context& ctx, int l);
    void norm_backward(const Context& ctx, int l);
    // Shows the recorder a tensor of `width` numbers a token; row(n, out) fills one token's.
    template <class F>
    void record(const Context& ctx, Quantity what, int l, Index width, F&& row);
    void record(const Context& ctx, Quantity what, int l, View<const T> x);

    SublayerShape shape_;
    Index vocab_;
    Plan plan_;
    ParamStore<Real> params_;
    std::optional<Arena> arena_;
    std::unique_ptr<DepthMixer<T>> mixer_;
    std::unique_ptr<Workspace<T>> work_;
    std::vector<std::unique_ptr<Sublayer<T>>> sublayers_;
    std::vector<Norm> norms_;
    ParamId embed_id_, head_id_;
    TensorId tokens_id_, targets_id_, x_id_, dx_id_, partial_id_, logits_id_, dlogits_id_,
        losses_id_;
    View<std::int32_t> tokens_, targets_;  // (N)
    View<Real> embed_, dembed_;            // (V, C)
    Linear<T> head_;
    View<T> x_, dx_;              // (N, C) normed input of a sublayer, and its gradient
    View<Real> partial_;          // (chunks, C)
    View<Real> logits_, losses_;  // (N, V), (N)
    View<T> dlogits_;             // (N, V), the memory of logits_ if T is Real
    std::unique_ptr<IntervenedWalk<T>> changed_;  // none in training
    Recorder<Real>* recorder_ = nullptr;
    std::vector<Real> recorded_;  // what the recorder is shown
};

}  // namespace plumb
