// What a training step finds out about itself, as numbers in the memory of its device: ops write
// them, ops read them, and the host looks once, when the step is over. Nothing inside a step waits
// for the device, and the update itself knows of a step that went wrong: it then changes nothing.
#pragma once

#include "core/device_memory.h"
#include "core/dispatch.h"
#include "ops/step_numbers.h"

namespace plumb {

// One of them.
inline View<double> scalar_of(View<StepScalars> s, double StepScalars::*which) {
    return {&(s.data->*which), {{'S', 1}}, s.device};
}

// Adds the loss (1) of a micro-batch; the first one begins the step. It is of no use where it is
// not a number up to the limit, or where `overflow` (1) is not 0 (Model::overflow).
void count_loss(const Context& ctx, const MicroBatch& batch, View<const double> loss,
                View<const double> overflow, View<StepScalars> s);

// grad_norm of grad_square; grad_scale = clip / grad_norm where the norm is above clip > 0, else 1;
// 0 where the norm is not finite or a loss was of no use.
void clip_factor(const Context& ctx, double clip, View<StepScalars> s);

// On a device.
void count_loss(Cpu, const Context& ctx, const MicroBatch& batch, View<const double> loss,
                View<const double> overflow, View<StepScalars> s);
void count_loss(Cuda, const Context& ctx, const MicroBatch& batch, View<const double> loss,
                View<const double> overflow, View<StepScalars> s);
void clip_factor(Cpu, const Context& ctx, double clip, View<StepScalars> s);
void clip_factor(Cuda, const Context& ctx, double clip, View<StepScalars> s);

}  // namespace plumb
