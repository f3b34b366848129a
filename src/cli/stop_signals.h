// What asks a long command to end: Ctrl-C, SIGTERM, a closed terminal, a batch system.
#pragma once

#include "core/stop.h"

namespace plumb {

// What watch_signals() sets.
inline StopFlag stop_requested{false};

// Sets stop_requested at the first signal: finish what is at hand and save it. The second ends the
// program at once with exit code 130; but one that comes within a second is the first again
// (timeout(1) and batch systems signal a process and its group). SIGHUP counts unless nohup ignores
// it, SIGUSR1 is what batch systems send ahead of the end. Call once, before the first parallel
// region and before any other thread, which then inherit the blocked signals.
void watch_signals();

}  // namespace plumb
