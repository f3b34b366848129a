#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace plumb {
namespace {

// Steps of the decay, at most all that follow the warm-up.
double decay_steps(const TrainConfig& c) {
    const auto rest = static_cast<double>(std::max(0L, c.steps - c.warmup));
    if (c.schedule == "constant") return 0;
    return c.schedule == "wsd" ? std::min(rest, c.decay_fraction * static_cast<double>(c.steps))
                               : rest;
}

}  // namespace

double learning_rate(const TrainConfig& c, long step) {
    if (step < c.warmup)
        return c.lr * static_cast<double>(step + 1) / static_cast<double>(c.warmup);
    const double decay = decay_steps(c);
    if (decay == 0) return c.lr;
    // 0 when the decay begins, 1 at the last step
    const auto left = static_cast<double>(c.steps - 1 - step);
    const double x = std::clamp(1.0 - left / std::max(1.0, decay - 1.0), 0.0, 1.0);
    const double height =
        c.schedule == "wsd" ? 1.0 - x : 0.5 * (1.0 + std::cos(std::numbers::pi * x));
    return c.lr * (c.min_lr_fraction + (1.0 - c.min_lr_fraction) * height);
}

}  // namespace plumb
