// Learning-rate schedules. Steps count from 0; S steps, W of them warm-up.
//
// Warm-up: (step + 1) / W of lr, so that no step has a rate of zero; step W - 1 is the first at lr.
// Then, the last step always reaching its end exactly:
//   cosine    half a cosine from lr at step W to min_lr_fraction lr at step S - 1
//   wsd       (warm-up, stable, decay) lr, then linear over the last decay_fraction S steps, from
//   lr
//             at the first of them to min_lr_fraction lr at the last; a decay that would begin
//             within the warm-up begins at its end, and decay_fraction = 0 is constant
//   constant  lr
// A run shorter than its warm-up ends within it.
//
// Others count otherwise. lr = 1, S = 10, W = 3, ends at 0.1 (Hugging Face: 0); the text of a test:
//
//   step  cosine  nanoGPT  HuggingFace  wsd 0.4
//      0  0.3333   0.2500       0.0000   0.3333
//      1  0.6667   0.5000       0.3333   0.6667
//      2  1.0000   0.7500       0.6667   1.0000
//      3  1.0000   1.0000       1.0000   1.0000
//      4  0.9397   0.9554       0.9505   1.0000
//      5  0.7750   0.8306       0.8117   1.0000
//      6  0.5500   0.6501       0.6113   1.0000
//      7  0.3250   0.4499       0.3887   0.7000
//      8  0.1603   0.2694       0.1883   0.4000
//      9  0.1000   0.1446       0.0495   0.1000
//
// nanoGPT (train.py, lr_decay_iters = max_iters): (step + 1) / (W + 1), and the cosine ends one
// step after the last. Hugging Face (get_cosine_schedule_with_warmup): step / W, the first step's
// rate is 0, and the cosine ends one step after the last. To repeat nanoGPT's warm-up exactly, type
// W + 1.
#pragma once

#include "train/train_config.h"

namespace plumb {

double learning_rate(const TrainConfig& config, long step);

}  // namespace plumb
