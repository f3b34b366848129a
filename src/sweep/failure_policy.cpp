#include "sweep/failure_policy.h"

#include "core/exit_code.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

namespace plumb {
namespace {

// Signals of the machine and of people. All others are faults of the program.
bool may_pass(int signal) {
    for (const int s : {SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGTERM, SIGINT, SIGHUP, SIGUSR1})
        if (signal == s) return true;
    return false;
}

}  // namespace

AfterEnd after_end(const RunEnd& end, int failures, int at_a_time, const RetryPolicy& policy) {
    if (end.signal == 0) {
        if (end.exit == 0 || end.exit == kDiverged) return AfterEnd::over;
        if (end.exit == kBusy) return AfterEnd::busy;
        if (end.exit != kInputOutput && end.exit != kInterrupted) return AfterEnd::bug;
    } else {
        if (!may_pass(end.signal)) return AfterEnd::bug;
        if (end.out_of_memory && at_a_time > 1) return AfterEnd::retry_less;
    }
    return failures < policy.retries ? AfterEnd::retry : AfterEnd::give_up;
}

std::chrono::milliseconds wait_before(int failures, const RetryPolicy& policy) {
    if (policy.waits.empty()) return {};
    const auto last = policy.waits.size() - 1;
    return policy.waits[std::min(last, static_cast<std::size_t>(std::max(failures, 1) - 1))];
}

std::string text_of(const RunEnd& end) {
    if (end.signal == 0) return fmt::format("exit {}", end.exit);
    return fmt::format("killed {}(signal {})", end.out_of_memory ? "for want of memory " : "",
                       end.signal);
}

}  // namespace plumb
