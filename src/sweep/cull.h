// [cull]: a run whose validation loss is far above the best at the same share of its steps is
// stopped. It is looked at once, when it gets there; what was stopped is not compared with
// anything.
#pragma once

#include "sweep/sweep_plan.h"

#include <map>
#include <optional>
#include <string>

namespace plumb {

// The first validation loss at or after the share `at` of the run's steps; nothing before.
std::optional<double> loss_at_share(const PlannedRun& run, double at);

class Culling {
public:
    explicit Culling(std::optional<SweepCull> rule) : rule_(rule) {}

    // Looks at a run that goes on or has ended. Returns why it is to be stopped, "" if it is not.
    std::string look(const PlannedRun& run);

private:
    std::optional<SweepCull> rule_;
    std::map<std::string, double> seen_;  // id and loss
};

}  // namespace plumb
