#include "cli/stop_signals.h"

#include "core/clock.h"
#include "core/exit_code.h"

#include <signal.h>

#include <csignal>
#include <cstdlib>
#include <thread>

namespace plumb {

// Waits on a thread of its own. Compute threads never run a handler: with one, an interrupt amid
// oneDNN 2.6's generated code corrupted memory about every second time (measured, AVX-512).
void watch_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    for (const int ends : {SIGTERM, SIGUSR1}) sigaddset(&signals, ends);
    struct sigaction hang_up {};
    if (sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN)
        sigaddset(&signals, SIGHUP);
    std::signal(SIGPIPE, SIG_IGN);  // an error of the write that meets it
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread([signals] {
        int received = 0;
        sigwait(&signals, &received);
        stop_requested = true;
        const auto first = Clock::now();
        do sigwait(&signals, &received);
        while (Clock::now() - first < std::chrono::seconds(1));
        std::_Exit(kInterrupted);
    }).detach();
}

}  // namespace plumb
