#include "sweep/failure_policy.h"

#include "catch.h"

#include <csignal>

using namespace plumb;
using std::chrono::milliseconds;
using std::chrono::minutes;

TEST_CASE("what is done about the end of a run", "[sweep]") {
    struct Row {
        RunEnd end;
        int failures, at_a_time;
        AfterEnd what;
    };
    const auto exit = [](int code) { return RunEnd{.exit = code}; };
    const auto killed = [](int signal) { return RunEnd{.signal = signal}; };
    const RunEnd no_memory{.signal = SIGKILL, .out_of_memory = true};
    const Row rows[] = {
        {exit(0), 0, 2, AfterEnd::over},
        {exit(3), 0, 2, AfterEnd::over},  // diverged: a result, however often
        {exit(3), 9, 2, AfterEnd::over},
        {exit(75), 0, 2, AfterEnd::busy},
        {exit(75), 9, 2, AfterEnd::busy},
        {exit(4), 0, 2, AfterEnd::retry},
        {exit(4), 1, 2, AfterEnd::retry},
        {exit(4), 2, 2, AfterEnd::give_up},
        {exit(130), 0, 2, AfterEnd::retry},  // stopped, and not by us
        {exit(2), 0, 2, AfterEnd::bug},
        {exit(70), 0, 2, AfterEnd::bug},
        {exit(1), 0, 2, AfterEnd::bug},
        {exit(127), 0, 2, AfterEnd::bug},
        {killed(SIGKILL), 0, 2, AfterEnd::retry},
        {killed(SIGSEGV), 0, 2, AfterEnd::retry},
        {killed(SIGABRT), 1, 2, AfterEnd::retry},
        {killed(SIGBUS), 2, 2, AfterEnd::give_up},
        {killed(SIGTERM), 0, 2, AfterEnd::retry},
        {killed(SIGFPE), 0, 2, AfterEnd::bug},
        {killed(SIGILL), 0, 2, AfterEnd::bug},
        {no_memory, 0, 4, AfterEnd::retry_less},
        {no_memory, 2, 4, AfterEnd::retry_less},  // not its fault
        {no_memory, 0, 1, AfterEnd::retry},
        {no_memory, 2, 1, AfterEnd::give_up},
    };
    for (const Row& row : rows) {
        INFO(text_of(row.end) << ", " << row.failures << " failures");
        CHECK(after_end(row.end, row.failures, row.at_a_time, {}) == row.what);
    }
    CHECK(after_end(exit(4), 0, 1, {.retries = 0, .waits = {}}) == AfterEnd::give_up);
}

TEST_CASE("retries wait one minute, then four", "[sweep]") {
    const RetryPolicy policy;
    CHECK(wait_before(1, policy) == minutes(1));
    CHECK(wait_before(2, policy) == minutes(4));
    CHECK(wait_before(7, policy) == minutes(4));
    CHECK(wait_before(1, {.retries = 1, .waits = {}}) == milliseconds(0));
    CHECK(text_of(RunEnd{.exit = 4}) == "exit 4");
    CHECK(text_of(RunEnd{.signal = 9}) == "killed (signal 9)");
}
