// How fast a sweep goes, for its ETA: work done by time spent, over all places together.
#pragma once

#include <limits>

namespace plumb {

class WorkRate {
public:
    void add(double work, double seconds) {
        if (!(work > 0) || !(seconds > 0)) return;
        work_ += work, seconds_ += seconds;
    }
    // Of the rest on `places` places; NaN as long as nothing is known.
    double seconds_for(double work, double places) const {
        return work_ > 0 && places > 0 ? work / (work_ / seconds_) / places
                                       : std::numeric_limits<double>::quiet_NaN();
    }

private:
    double work_ = 0, seconds_ = 0;
};

}  // namespace plumb
