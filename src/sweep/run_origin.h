// Who made a run: the last line of its attempts.jsonl.
#pragma once

#include <filesystem>
#include <string>

namespace plumb {

struct RunOrigin {
    std::string commit, device;  // "": not known
    long numerics = -1;          // config/numerics.h; -1: not known
};
RunOrigin origin_of(const std::filesystem::path& run);

// Made by a program that gave such a run other numbers than this one does, whose numerics for its
// settings are `numerics`: kept, but not to be compared with new runs.
bool is_outdated(const RunOrigin& origin, int numerics);

}  // namespace plumb
