#include "run/remaining_time.h"

namespace plumb {
namespace {

// Multiples of `every` in (step, end], and `end` itself; every = 0: never.
double times_left(long every, long step, long end) {
    if (every == 0 || step >= end) return 0;
    return static_cast<double>(end / every - step / every + (end % every != 0 ? 1 : 0));
}

}  // namespace

double remaining_seconds(const TrainConfig& train, const RecordConfig& record, long step,
                         const Pace& pace) {
    return pace.step * static_cast<double>(train.steps - step) +
           pace.validation * times_left(train.eval_every, step, train.steps) +
           pace.probe * times_left(record.probe_every, step, train.steps) + pace.split;
}

}  // namespace plumb
