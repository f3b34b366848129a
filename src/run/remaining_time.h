// How long a run still takes: its steps, and what it does between them.
#pragma once

#include "core/clock.h"
#include "record/record_config.h"
#include "train/train_config.h"

namespace plumb {

// Seconds that each thing took on average so far; 0 where it has not happened yet.
struct Pace {
    double step = 0, validation = 0, probe = 0;
    double split = 0;  // scoring the whole validation split at the end
};

// After `step` steps and what is due with them. Patience is taken to last.
double remaining_seconds(const TrainConfig& train, const RecordConfig& record, long step,
                         const Pace& pace);

// A running mean.
class MeanTime {
public:
    template <class F>
    void measure(F&& f) {
        add(seconds_of(f));
    }
    void add(double seconds) { total_ += seconds, ++n_; }
    double mean() const { return n_ > 0 ? total_ / static_cast<double>(n_) : 0; }

private:
    double total_ = 0;
    long n_ = 0;
};

}  // namespace plumb
