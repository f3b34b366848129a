// The transformer as a walk along depth: embed, then read / norm / sublayer / write for l = 1..L,
// then the final read, norm, head and loss. Everything it needs is declared in the constructor and
// allocated with a frame; nothing allocates inside a step.
#pragma once

#include "mixers/mixers.h"
#include "model/head.h"
#include "model/intervened_walk.h"
#include "model/model.h"
#include "model/norms.h"
#include "model/sublayers.h"

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

    std::unique_ptr<Frame> make_frame() override;
    const Frame& frame() const override { return *frame_; }

    View<std::int32_t> tokens(const Frame* in = nullptr) const override {
        return chosen(in).view(tokens_);
    }
    View<std::int32_t> targets(const Frame* in = nullptr) const override {
        return chosen(in).view(targets_);
    }
    void run_forward(const Context& ctx, Recorder<Real>* recorder = nullptr,
                     std::optional<DropoutKey> key = {}, std::optional<Real> scale = {}) override;
    void intervene(const Interventions* what) override;
    void backward(const Context& ctx, Real scale = Real(1),
                  Recorder<Real>* recorder = nullptr) override;

    View<const Real> logits(const Frame* in = nullptr) const override {
        return chosen(in).view(head_.logits());
    }
    View<const Real> token_losses(const Frame* in = nullptr) const override {
        return chosen(in).view(head_.losses());
    }
    View<const double> loss(const Frame* in = nullptr) const override {
        return chosen(in).view(head_.mean_loss());
    }
    View<const double> overflow(const Frame* in = nullptr) const override {
        return chosen(in).view(overflow_);
    }
    std::vector<ParamId> weights_at(int l) const override;

    const ModelConfig& config() const override { return shape_.model; }
    Index vocab() const override { return vocab_; }
    DepthMatrix<Real>& mixer() override { return *mixer_; }
    const DepthMatrix<Real>& mixer() const override { return *mixer_; }
    ParamStore<Real>& params() override { return params_; }
    const ParamStore<Real>& params() const override { return params_; }
    const Plan& plan() const override { return plan_; }

private:
    using PreNorms = typename Norms<T>::PreNorms;
    // What a pass is beside its tensors.
    struct Pass {
        Recorder<Real>* recorder = nullptr;
        bool changed = false;       // by interventions
        std::optional<Real> scale;  // with which the head's gradients have been taken
        // What the recorder is shown; where the pass ran elsewhere, on the host.
        std::shared_ptr<DeviceArray<Real>> shown;
        std::vector<Real> fetched;
    };
    const Frame& chosen(const Frame* in) const {
        require(in || frame_, "a model is used before allocate()");
        return in ? *in : *frame_;
    }
    Context home(const Context& ctx) const { return ctx.in(chosen(ctx.frame)); }
    std::span<const PreNorm<T>> ways_of(const PreNorms& norms, int l) const {
        return {norms.data(), static_cast<std::size_t>(mixer_->ways(l))};
    }
    Inputs<const T> normed(const Context& ctx, int l);
    Inputs<const T> normed_again(const Context& ctx, int l) const;
    Inputs<T> input_gradients(const Context& ctx) const;
    void norm_backward(const Context& ctx, int l);
    // Shows the recorder a tensor of `width` numbers a token, which fill(View<Real>) makes.
    template <class F>
    void record(const Context& ctx, Quantity what, int l, Index width, F&& fill) const;
    void record(const Context& ctx, Quantity what, int l, View<const T> x) const;

    SublayerShape shape_;
    Index vocab_;
    Plan plan_;
    ParamStore<Real> params_;
    std::unique_ptr<Frame> frame_;
    std::unique_ptr<DepthMixer<T>> mixer_;
    std::unique_ptr<Workspace<T>> work_;
    std::vector<SublayerPtr<T>> sublayers_;
    Norms<T> norms_;
    Param<Real> embed_, head_weight_;        // (V, C)
    Tensor<std::int32_t> tokens_, targets_;  // (N)
    Tensor<double> overflow_;                // (1)
    Head<T> head_;
    FrameState<Pass> pass_;
    std::unique_ptr<IntervenedWalk<T>> changed_;  // none in training
};

}  // namespace plumb
