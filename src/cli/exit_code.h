// Exit codes of plumb in words, and how a command ends early.
#pragma once

#include "core/exit_code.h"

#include <vector>

namespace plumb {

struct ExitMeaning {
    int code;
    const char* text;
};
// For help and the man page.
inline std::vector<ExitMeaning> exit_meanings() {
    return {{0, "ok"},
            {kCheckFailed, "a check failed"},
            {kUsage, "what was typed or configured cannot work"},
            {kDiverged, "training diverged"},
            {kInputOutput, "a file cannot be read or written, or is damaged"},
            {kBusy, "another process writes the run"},
            {kInterrupted, "interrupted after a checkpoint"}};
}

// Thrown by a command that has said all there is to say and wants this exit code.
struct ExitWith {
    int code;
};

}  // namespace plumb
