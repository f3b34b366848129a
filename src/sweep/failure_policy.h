// What is done about a run whose process has ended: a table.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace plumb {

struct RunEnd {
    int exit = 0;                // of the process
    int signal = 0;              // that ended it; 0: it ended by itself
    bool out_of_memory = false;  // the system killed a process for memory meanwhile
};

struct RetryPolicy {
    int retries = 2;  // of a run; then it counts as failed
    // Before the first retry, the second, ...; the last holds for all later ones.
    std::vector<std::chrono::milliseconds> waits{std::chrono::minutes(1), std::chrono::minutes(4)};
};

enum class AfterEnd : std::uint8_t {
    over,        // done or diverged: a result, which is never retried
    busy,        // another process holds the run: look at it again
    retry,       // from its last checkpoint, after a while
    retry_less,  // the same at once, with half as many runs at a time
    give_up,     // retried often enough
    bug,         // it would fail again in the same way
};

// failures: ends of this run that were neither over nor busy, without this one. at_a_time: how many
// runs go on at once.
AfterEnd after_end(const RunEnd& end, int failures, int at_a_time, const RetryPolicy& policy);

// Before retry number `failures`, which counts from 1.
std::chrono::milliseconds wait_before(int failures, const RetryPolicy& policy);

// "exit 4", "killed (signal 9)", "killed for want of memory (signal 9)".
std::string text_of(const RunEnd& end);

}  // namespace plumb
