// Exit codes of plumb: 0 ok, 70 an internal error, and these.
#pragma once

namespace plumb {

inline constexpr int kCheckFailed = 1, kUsage = 2, kDiverged = 3, kInputOutput = 4, kInternal = 70,
                     kBusy = 75, kInterrupted = 130;

}  // namespace plumb
