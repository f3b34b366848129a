// What a training step finds out about itself, as numbers in the memory of its device: ops write
// them, ops read them, and the host looks once, when the step is over. Nothing inside a step waits
// for the device, and the update itself knows of a step that went wrong: it then changes nothing.
#pragma once

#include "core/device_memory.h"
#include "core/dispatch.h"

namespace plumb {

struct StepScalars {
    double loss = 0;         // mean over the micro-batches
    double bad_batch = 0;    // the first of them (1, 2, ..) whose loss is of no use; 0: none
    double bad_loss = 0;     // its loss
    double grad_square = 0;  // sum of the gradient's squares
    double grad_norm = 0;    // its root, before clipping
    double grad_scale = 0;   // what an optimizer multiplies the gradient by; 0: it changes nothing
};

// One of them.
inline View<double> scalar_of(View<StepScalars> s, double StepScalars::*which) {
    return {&(s.data->*which), {{'S', 1}}, s.device};
}

struct MicroBatch {
    long index, count;
    double loss_limit;
};

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
void clip_factor(Cpu, const Context& ctx, double clip, View<StepScalars> s);

}  // namespace plumb
