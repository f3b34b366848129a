// What a training step finds out about itself, as numbers in the memory of its device: ops write
// them, ops read them, and the host looks once, when the step is over. Nothing inside a step waits
// for the device, and the update itself knows of a step that went wrong: it then changes nothing.
#pragma once

#include "core/device_memory.h"
#include "core/dispatch.h"

namespace plumb {

struct StepScalars {
    double grad_square = 0;  // sum of the gradient's squares
    double grad_norm = 0;    // its root, before clipping
    double grad_scale = 0;   // what an optimizer multiplies the gradient by; 0: it changes nothing
};

// One of them.
inline View<double> scalar_of(View<StepScalars> s, double StepScalars::*which) {
    return {&(s.data->*which), {{'S', 1}}, s.device};
}

// grad_norm of grad_square; grad_scale = clip / grad_norm where the norm is above clip > 0, else 1;
// 0 where the norm is not finite.
void clip_factor(const Context& ctx, double clip, View<StepScalars> s);

// On a device.
void clip_factor(Cpu, const Context& ctx, double clip, View<StepScalars> s);

}  // namespace plumb
