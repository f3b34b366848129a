// Who made a run: the last line of its attempts.jsonl.
#pragma once

#include <filesystem>
#include <string>

namespace plumb {

struct RunOrigin {
    std::string commit, device;  // "": not known
    long numerics = -1;          // core/provenance.h; -1: not known
};
RunOrigin origin_of(const std::filesystem::path& run);

// Made by a program whose numbers are other than this one's: kept, but not to be compared with new
// runs.
bool is_outdated(const RunOrigin& origin);

}  // namespace plumb
