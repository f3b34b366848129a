// What a step knows of itself, on a GPU (ops/step_scalars.h): one thread, a few numbers. The host
// learns them when it asks, once the step is over; kernels after these read them where they are.
#pragma once

#include "core/launch.h"
#include "ops/step_numbers.h"

#include <cmath>

namespace plumb::gpu {

static __global__ void count_step_loss(MicroBatch batch, const double* loss, const double* overflow,
                                       StepScalars* s) {
    StepScalars step = *s;
    if (batch.index == 0) step = {};
    step.loss += *loss / static_cast<double>(batch.count);
    const bool good = *loss <= batch.loss_limit && *overflow == 0;
    if (!good && !(step.bad_batch > 0)) {
        step.bad_batch = static_cast<double>(batch.index + 1);
        step.bad_loss = *loss;
    }
    *s = step;
}

static __global__ void clip_step(double clip, StepScalars* s) {
    const double norm = sqrt(s->grad_square);
    const bool clips = clip > 0 && norm > clip;
    const bool good = norm - norm == 0 && s->bad_batch == 0;  // a norm that is finite
    s->grad_norm = norm;
    s->grad_scale = !good ? 0.0 : clips ? clip / norm : 1.0;
}

inline void count_loss(cudaStream_t stream, const MicroBatch& batch, const double* loss,
                       const double* overflow, StepScalars* s) {
    launch(stream, "count_loss", count_step_loss, {1, 1}, batch, loss, overflow, s);
}
inline void clip_factor(cudaStream_t stream, double clip, StepScalars* s) {
    launch(stream, "clip_factor", clip_step, {1, 1}, clip, s);
}

}  // namespace plumb::gpu
