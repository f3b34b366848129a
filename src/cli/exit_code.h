// Exit codes of plumb (interface.md).
#pragma once

namespace plumb {

inline constexpr int kCheckFailed = 1, kUsage = 2, kDiverged = 3, kInputOutput = 4,
                     kInterrupted = 130;

// Thrown by a command that has said all there is to say and wants this exit code.
struct ExitWith {
    int code;
};

}  // namespace plumb
