// Trainer: model + data + optimizer, one step at a time. Knows nothing of files or terminals.
#pragma once

#include "core/gpu.h"
#include "model/model.h"
#include "ops/step_scalars.h"
#include "train/evaluate.h"
#include "train/optimizer.h"
#include "train/train_config.h"

#include <functional>
#include <string>
#include <vector>

namespace plumb {

struct StepResult {
    double loss;       // mean over the micro-batches, before the update
    double grad_norm;  // global, before clipping
    double lr;
};

class Trainer {
public:
    // Refers to data, which must outlive it. Declares; allocate() allocates. Throws UsageError for
    // a kind in mixer.freeze that the mixer has no parameter of.
    Trainer(const TransformerShape& shape, const TrainConfig& train, const Dataset& data);
    void allocate();

    // Optimizer step number `step` (0, 1, ...): a pure function of the parameters, the
    // optimizer's state, the seeds and `step`. Throws Diverged, naming step and tensor, if the loss
    // or a gradient is not finite, a read overflows its norm, or the loss exceeds divergence_limit
    // ln(V); and Stopped between two micro-batches once `stop` is set. Parameters are then as they
    // were before.
    StepResult step(const Context& ctx, long step, const StopFlag* stop = nullptr);
    // Mean loss over the first train.eval_sequences validation sequences: for the curve and for
    // choosing a checkpoint.
    double evaluate(const Context& ctx);
    // Over the whole validation split, or another dataset's (a test split): for comparing. Throws
    // Stopped.
    Evaluation evaluate_split(const Context& ctx, const StopFlag* stop = nullptr,
                              const Dataset* other = nullptr);
    // Forward and backward over the first n_sequences validation sequences with a recorder, a
    // micro-batch at a time; gradients afterwards are of their mean loss. begin_pass hears before
    // each pass how many of its tokens, the first ones, are of these sequences. Leaves parameters
    // and the optimizer's state alone.
    void probe(const Context& ctx, Index n_sequences, Recorder<float>& recorder,
               const std::function<void(Index tokens)>& begin_pass = {});
    // Throws Diverged if a parameter is not finite.
    void check_parameters(long step) const;

    Model<float>& model() { return *model_; }
    const Model<float>& model() const { return *model_; }
    Index tokens_per_step() const { return model_tokens_ * train_.accumulate; }
    // Bytes a training step needs: a frame, parameters, gradients and what the optimizer keeps.
    double planned_bytes() const;
    Optimizer& optimizer() { return *optimizer_; }
    const Optimizer& optimizer() const { return *optimizer_; }

    // Throws Diverged: which tensor made `what` of the loaded batch useless after `step` steps.
    [[noreturn]] void diverged(const Context& ctx, long step, const std::string& what,
                               double value);

private:
    double loss_limit() const;
    DropoutKey load(const MicroBatch& batch, long step);
    void zero_frozen_gradients(const Context& ctx);
    void update(const Context& ctx, long step, double lr);

    std::unique_ptr<Model<float>> model_;
    TrainConfig train_;
    const Dataset& data_;
    Index model_tokens_;
    std::vector<std::int32_t> tokens_, targets_;  // (N) each, of a batch on its way to the device
    std::vector<UpdateRange> ranges_;             // of the flat arrays, one a parameter
    std::unique_ptr<Optimizer> optimizer_;
    DeviceArray<StepScalars> scalars_;  // of the last step
    gpu::Graph passes_, update_;        // of a micro-batch and of a step
};

}  // namespace plumb
