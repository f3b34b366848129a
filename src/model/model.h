// Model: a transformer as its users see it, whatever its storage type: token ids in, loss, logits,
// gradients and M out, all in Real.
#pragma once

#include "mixers/depth_mixer.h"
#include "mixers/mixer_config.h"
#include "model/model_config.h"
#include "record/recorder.h"

#include <memory>
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
class Model {
public:
    virtual ~Model() = default;
    // Allocates the arena and the parameters; initial values depend on (seed, name) alone.
    virtual void allocate(std::uint64_t seed) = 0;

    // (N) each, to be filled by the caller: tokens in [0, V), targets in [-1, V), -1 = not scored.
    virtual View<std::int32_t> tokens() const = 0;
    virtual View<std::int32_t> targets() const = 0;

    // Mean cross-entropy in nats over the scored tokens. Logits stay readable until backward.
    virtual double forward(const Context& ctx, Recorder<Real>* recorder = nullptr) = 0;
    // Gradients of scale * loss are added to params().grads().
    virtual void backward(const Context& ctx, Real scale = Real(1),
                          Recorder<Real>* recorder = nullptr) = 0;

    virtual View<const Real> logits() const = 0;        // (N, V)
    virtual View<const Real> token_losses() const = 0;  // (N)
    // Weights of sublayer l (1..L), of the embedding (0), of the final norm and head (L+1).
    virtual std::vector<ParamId> weights_at(int l) const = 0;

    virtual const ModelConfig& config() const = 0;  // resolved
    virtual Index vocab() const = 0;
    virtual DepthMatrix<Real>& mixer() = 0;
    virtual ParamStore<Real>& params() = 0;
    virtual const ParamStore<Real>& params() const = 0;
    virtual const Plan& plan() const = 0;

    int sublayers() const { return static_cast<int>(config().sublayers()); }
};

}  // namespace plumb
