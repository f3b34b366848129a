// An optimizer makes new parameters of gradients. It declares what it keeps from step to step
// (train/optimizer_state.h), and nothing else of it is remembered: a step is a function of values,
// gradients, state, and the few numbers below.
//
// A new one: a file with its equation, and a row in optimizers.cpp. Lists, settings, trainer,
// checkpoints and the tests of every optimizer then know it.
#pragma once

#include "core/context.h"
#include "ops/adamw.h"
#include "train/optimizer_state.h"
#include "train/train_config.h"

#include <memory>
#include <string>
#include <vector>

namespace plumb {

struct OptimizerStep {
    double lr;  // of the schedule
    // (1) The gradient is multiplied by it first (clipping). 0: the gradient is of no use, and
    // values and state stay as they are.
    View<const double> grad_scale;
    Index step;  // 1, 2, ...
};

class Optimizer {
public:
    explicit Optimizer(Device device) : device_(device) {}
    virtual ~Optimizer() = default;
    Optimizer(const Optimizer&) = delete;
    Optimizer& operator=(const Optimizer&) = delete;

    // Sets the state to that before the first step.
    virtual void allocate() { state_.allocate(device_); }
    // Changes values and state, of the store that it was made for; gradients stay.
    virtual void step(const Context& ctx, ParamStore<float>& params, const OptimizerStep& s) = 0;
    // Of the state, and of what a step needs beside it.
    virtual double bytes() const { return state_.bytes(); }
    // Of a step, in products of matrices.
    virtual double flops() const { return 0; }

    OptimizerState& state() { return state_; }
    const OptimizerState& state() const { return state_; }

protected:
    Device device_;
    OptimizerState state_;
};

// What an optimizer is made for.
struct OptimizerSetup {
    const std::vector<ParamSpec>& params;  // of one store, all of them
    std::vector<UpdateRange> ranges;       // one a parameter: which decay, which rest, how fast
    const TrainConfig& train;
    Device device = Device::cpu;  // where the store is
};

struct OptimizerInfo {
    std::string name;
    std::string paper;
    std::string definition;
    std::vector<Option> options;  // keys of [train] that not every optimizer reads
    std::unique_ptr<Optimizer> (*make)(const OptimizerSetup& setup);
};

// The table of contents.
const std::vector<OptimizerInfo>& optimizers();

// Throws UsageError naming the nearest if there is none.
const OptimizerInfo& find_optimizer(const std::string& name);

}  // namespace plumb
