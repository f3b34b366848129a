#include "ops/step_scalars.h"

#include <cmath>

namespace plumb {

void clip_factor(Cpu, const Context&, double clip, View<StepScalars> s) {
    StepScalars& step = *s.data;
    step.grad_norm = std::sqrt(step.grad_square);
    const bool clips = clip > 0 && step.grad_norm > clip;
    step.grad_scale = !std::isfinite(step.grad_norm) ? 0.0 : clips ? clip / step.grad_norm : 1.0;
}

}  // namespace plumb
