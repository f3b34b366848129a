// What `plumb sweep plan` prints.
#pragma once

#include "cli/sweep_typed.h"
#include "sweep/sweep_plan.h"

namespace plumb {

// The hypothesis, a line for each variant and point with what its runs cost and how many are done,
// what is matched, what the seeds can find, the total and what to type next.
void print_plan(const SweepPlan& plan, const TypedSweep& typed);
// {"sweep": sweep.json, "runs": [...]}; or a line for each run.
void print_plan_json(const SweepPlan& plan, bool lines);

}  // namespace plumb
