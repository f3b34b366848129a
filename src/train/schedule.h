// Learning-rate schedules. Steps count from 0.
#pragma once

#include "train/train_config.h"

namespace plumb {

// Warm-up: linear to lr over `warmup` steps. Then cosine: to min_lr_fraction lr at the last step;
// wsd (warm-up, stable, decay): lr, and linear to min_lr_fraction lr over the last decay_fraction
// of the steps; constant: lr.
double learning_rate(const TrainConfig& config, long step);

}  // namespace plumb
