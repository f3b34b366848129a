// Time: how long something takes, and when it was. Intervals are of a clock that is never set back;
// what is written down is the time of day.
#pragma once

#include <chrono>
#include <string>
#include <utility>

namespace plumb {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// That the call takes.
template <class F>
double seconds_of(F&& call) {
    const auto start = Clock::now();
    std::forward<F>(call)();
    return seconds_since(start);
}

// Now, as files have it: "2026-03-14T09:26:53Z".
std::string utc_now();
// Now, as a person here reads it: "10:26:53".
std::string time_of_day();
// Seconds since 1970.
double unix_time();

}  // namespace plumb
