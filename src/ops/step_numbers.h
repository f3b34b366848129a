// What a training step finds out about itself (ops/step_scalars.h): the numbers alone, for kernels.
#pragma once

namespace plumb {

struct StepScalars {
    double loss = 0;         // mean over the micro-batches
    double bad_batch = 0;    // the first of them (1, 2, ..) whose loss is of no use; 0: none
    double bad_loss = 0;     // its loss
    double grad_square = 0;  // sum of the gradient's squares
    double grad_norm = 0;    // its root, before clipping
    double grad_scale = 0;   // what an optimizer multiplies the gradient by; 0: it changes nothing
};

struct MicroBatch {
    long index, count;
    double loss_limit;
};

}  // namespace plumb
