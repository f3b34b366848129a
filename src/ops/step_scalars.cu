#include "ops/step_scalars.h"

#include "core/gpu_stream.h"
#include "ops/step_scalars.cuh"

namespace plumb {

void count_loss(Cuda, const Context&, const MicroBatch& batch, View<const double> loss,
                View<const double> overflow, View<StepScalars> s) {
    gpu::count_loss(gpu::stream(), batch, loss.data, overflow.data, s.data);
}

void clip_factor(Cuda, const Context&, double clip, View<StepScalars> s) {
    gpu::clip_factor(gpu::stream(), clip, s.data);
}

}  // namespace plumb
