#include "ops/step_scalars.h"

#include <cmath>

namespace plumb {

void count_loss(Cpu, const Context&, const MicroBatch& batch, View<const double> loss,
                View<const double> overflow, View<StepScalars> s) {
    StepScalars& step = *s.data;
    if (batch.index == 0) step = {};
    step.loss += *loss.data / static_cast<double>(batch.count);
    const bool good = *loss.data <= batch.loss_limit && *overflow.data == 0;
    if (good || step.bad_batch > 0) return;
    step.bad_batch = static_cast<double>(batch.index + 1);
    step.bad_loss = *loss.data;
}

void clip_factor(Cpu, const Context&, double clip, View<StepScalars> s) {
    StepScalars& step = *s.data;
    step.grad_norm = std::sqrt(step.grad_square);
    const bool clips = clip > 0 && step.grad_norm > clip;
    const bool good = std::isfinite(step.grad_norm) && step.bad_batch == 0;
    step.grad_scale = !good ? 0.0 : clips ? clip / step.grad_norm : 1.0;
}

}  // namespace plumb
