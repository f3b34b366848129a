// Trainer: model + data + optimizer, one step at a time. Knows nothing of files or terminals.
#pragma once

#include "model/model.h"
#include "ops/adamw.h"
#include "train/dataset.h"
#include "train/train_config.h"

#include <string>

namespace plumb {

struct StepResult {
    double loss;       // mean over the micro-batches, before the update
    double grad_norm;  // global, before clipping
    double lr;
};

class Trainer {
public:
    // Refers to data, which must outlive it. Declares; allocate() allocates.
    Trainer(const TransformerShape& shape, const TrainConfig& train, const Dataset& data);
    void allocate();

    // Optimizer step number `step` (0, 1, ...): a pure function of the parameters, the moments, the
    // seed and `step`. Throws Diverged, naming step and tensor, if the loss or a gradient is not
    // finite or the loss exceeds kDivergedFactor ln(V); parameters are then as they were before.
    StepResult step(const Context& ctx, long step);
    // Mean loss over the fixed validation batches.
    double evaluate(const Context& ctx);
    // One pass forward and backward over validation batch 0 with a recorder; gradients afterwards
    // hold that batch's. Leaves parameters and moments alone.
    void probe(const Context& ctx, Recorder<float>& recorder);
    // Throws Diverged if a parameter is not finite.
    void check_parameters(long step) const;

    static constexpr double kDivergedFactor = 4.0;

    Model<float>& model() { return *model_; }
    const Model<float>& model() const { return *model_; }
    Index tokens_per_step() const { return model_tokens_ * train_.accumulate; }
    // Bytes a training step needs, arena, parameters, gradients and moments.
    double planned_bytes() const;
    // First and second moment of a parameter.
    View<float> moment(ParamId id, int which);

private:
    [[noreturn]] void diverged(const Context& ctx, long step, const std::string& what,
                               double value);
    std::string first_bad_tensor(const Context& ctx);
    void update(const Context& ctx, long step, double lr, double grad_norm);

    std::unique_ptr<Model<float>> model_;
    TrainConfig train_;
    const Dataset& data_;
    Index model_tokens_;
    std::vector<float> moments_[2];
    std::vector<DecayRange> decay_ranges_;  // of the flat arrays
};

}  // namespace plumb
