// A request to stop, set by another thread (a signal's) and looked at where nothing is half done.
#pragma once

#include <atomic>

namespace plumb {

using StopFlag = std::atomic<bool>;

// Thrown where a set flag is seen. Not an error: what was under way can be done again from its
// start, with the same result.
struct Stopped {};

inline void stop_if(const StopFlag* flag) {
    if (flag && flag->load()) throw Stopped{};
}

}  // namespace plumb
