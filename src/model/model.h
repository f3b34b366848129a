// Model: a transformer as its users see it, whatever its storage type: token ids in, loss, logits,
// gradients and M out, all in Real.
#pragma once

#include "core/frame.h"
#include "mixers/depth_mixer.h"
#include "mixers/mixer_config.h"
#include "model/model_config.h"
#include "model/recorder.h"
#include "model/sublayer.h"

#include <memory>
#include <vector>

namespace plumb {

struct Interventions;  // model/interventions.h

struct TransformerShape {
    ModelConfig model;  // as written; resolved by the constructor
    MixerConfig mixer;
    Index vocab;
    Index batch;
    int threads = 1;
    Index head_tokens = 0;  // that the head works on at a time; 0: its choice (model/head.h)
    Device device = Device::cpu;
};

template <class Real>
class Model {
public:
    virtual ~Model() = default;
    // Allocates the parameters and the model's own frame; initial values depend on (seed, name)
    // alone.
    virtual void allocate(std::uint64_t seed) = 0;
    // Passes run in ctx.frame or, without one, in the model's own. Each frame can hold a pass
    // between forward and backward; all add to the same gradients. After allocate().
    virtual std::unique_ptr<Frame> make_frame() = 0;
    virtual const Frame& frame() const = 0;  // the model's own

    // Below, `in` is a frame; nullptr the model's own.

    // (N) each, to be filled by the caller (put): tokens in [0, V), targets in [-1, V), -1 = not
    // scored.
    virtual View<std::int32_t> tokens(const Frame* in = nullptr) const = 0;
    virtual View<std::int32_t> targets(const Frame* in = nullptr) const = 0;

    // Mean cross-entropy in nats over the scored tokens. model.dropout acts in passes with a key;
    // backward then draws the same masks. `scale`: that of the backward which follows, where it is
    // known. The head then takes its gradients at once, while it has the logits, and those of its
    // weights have been added when forward returns; otherwise backward makes the logits again.
    double forward(const Context& ctx, Recorder<Real>* recorder = nullptr,
                   std::optional<DropoutKey> key = {}, std::optional<Real> scale = {}) {
        run_forward(ctx, recorder, key, scale);
        return read_scalar(loss(ctx.frame));
    }
    // The same for those who do not wait for the loss.
    virtual void run_forward(const Context& ctx, Recorder<Real>* recorder = nullptr,
                             std::optional<DropoutKey> key = {},
                             std::optional<Real> scale = {}) = 0;
    // What forward does differently from now on; nothing for nullptr. After such a forward backward
    // throws InternalError.
    virtual void intervene(const Interventions* what) = 0;
    // Gradients of scale * loss are added to params().grads(). Throws InternalError for another
    // scale than forward was told.
    virtual void backward(const Context& ctx, Real scale = Real(1),
                          Recorder<Real>* recorder = nullptr) = 0;

    // (N, V), of a forward without a scale until backward. Throws InternalError where they are too
    // many to be kept (model/head.h).
    virtual View<const Real> logits(const Frame* in = nullptr) const = 0;
    virtual View<const Real> token_losses(const Frame* in = nullptr) const = 0;  // (N)
    // Device scalars (1) of the last forward: its loss, and the first l whose read (1..L+1) was so
    // large that its mean square overflowed: the norm then made zeros of it, and the loss is a
    // number that means nothing. 0: none.
    virtual View<const double> loss(const Frame* in = nullptr) const = 0;
    virtual View<const double> overflow(const Frame* in = nullptr) const = 0;
    int overflowed_read(const Frame* in = nullptr) const {
        return static_cast<int>(read_scalar(overflow(in)));
    }
    // Weights of sublayer l (1..L), of the embedding (0), of the final norm and head (L+1).
    virtual std::vector<ParamId> weights_at(int l) const = 0;

    virtual const ModelConfig& config() const = 0;  // resolved
    virtual Index vocab() const = 0;
    virtual DepthMatrix<Real>& mixer() = 0;
    virtual const DepthMatrix<Real>& mixer() const = 0;
    virtual ParamStore<Real>& params() = 0;
    virtual const ParamStore<Real>& params() const = 0;
    virtual const Plan& plan() const = 0;

    const Layout& layout() const { return mixer().shape().layout; }
    int sublayers() const { return layout().sublayers(); }
};

// A Transformer that computes in float and stores activations as `precision` says: fp32 or bf16.
std::unique_ptr<Model<float>> make_model(const TransformerShape& shape,
                                         const std::string& precision);

// Training FLOPs per token, forward and backward: 6 per weight of a matrix product (the embedding
// is a lookup; mixer parameters count where they multiply a C-vector) plus causal attention, whose
// T (T+1)/2 scores cost 12 H D each for scores and values.
double train_flops_per_token(const ModelConfig& resolved, Index vocab, Index mixer_params);

}  // namespace plumb
