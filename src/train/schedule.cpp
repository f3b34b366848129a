#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace plumb {

double learning_rate(const TrainConfig& c, long step) {
    if (step < c.warmup)
        return c.lr * static_cast<double>(step + 1) / static_cast<double>(c.warmup);
    if (c.schedule == "constant") return c.lr;
    const double decay = c.schedule == "wsd" ? c.decay_fraction * static_cast<double>(c.steps)
                                             : static_cast<double>(c.steps - c.warmup);
    // 0 when the decay begins, 1 at the last step
    const double left = static_cast<double>(c.steps - 1 - step);
    const double x = std::clamp(1.0 - left / std::max(1.0, decay - 1.0), 0.0, 1.0);
    const double height =
        c.schedule == "wsd" ? 1.0 - x : 0.5 * (1.0 + std::cos(std::numbers::pi * x));
    return c.lr * (c.min_lr_fraction + (1.0 - c.min_lr_fraction) * height);
}

}  // namespace plumb
