#include "sweep/memory_admission.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

namespace plumb {
namespace fs = std::filesystem;
namespace {

std::string text_in(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

std::optional<double> number_in(const fs::path& path) {
    const std::string text = text_in(path);
    double x = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
    return error == std::errc{} && x > 0 ? std::optional(x) : std::nullopt;  // "max": none
}

// The folders that bound this process, innermost first.
std::vector<fs::path> control_groups(const std::string& proc_self_cgroup, const fs::path& root) {
    std::vector<fs::path> groups;
    std::istringstream lines(proc_self_cgroup);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string kinds = line.substr(first + 1, second - first - 1);
        if (!kinds.empty() && kinds.find("memory") == std::string::npos) continue;
        // A group is seen from within a container at the root, under whatever name it has outside.
        const fs::path base = kinds.empty() ? root : root / "memory";
        for (fs::path at = line.substr(second + 1);; at = at.parent_path()) {
            groups.push_back(base / at.relative_path());
            if (at.relative_path().empty()) break;
        }
    }
    return groups;
}

// N of a line "oom_kill N".
long kills_in(const fs::path& path) {
    std::ifstream file(path);
    std::string key;
    for (long n = 0; file >> key;)
        if (key == "oom_kill" && file >> n) return n;
    return 0;
}

}  // namespace

double FreeMemory::for_runs() const {
    constexpr double kNone = std::numeric_limits<double>::infinity();
    return kMemoryShare * std::min(available.value_or(kNone), limit.value_or(kNone));
}

std::optional<double> available_memory(const std::string& meminfo) {
    constexpr const char* kKey = "MemAvailable:";
    const std::size_t at = meminfo.find(kKey);
    if (at == std::string::npos) return std::nullopt;
    double kib = 0;
    std::istringstream rest(meminfo.substr(at + std::string(kKey).size()));
    return rest >> kib ? std::optional(1024 * kib) : std::nullopt;
}

std::optional<double> control_group_limit(const std::string& proc_self_cgroup,
                                          const fs::path& root) {
    std::optional<double> least;
    for (const fs::path& group : control_groups(proc_self_cgroup, root))
        for (const char* name : {"memory.max", "memory.limit_in_bytes"})
            if (const auto x = number_in(group / name)) least = std::min(*x, least.value_or(*x));
    return least;
}

FreeMemory free_memory() {
    return {available_memory(text_in("/proc/meminfo")),
            control_group_limit(text_in("/proc/self/cgroup"), "/sys/fs/cgroup")};
}

long out_of_memory_kills() {
    long kills = kills_in("/proc/vmstat");  // of the whole machine
    for (const fs::path& group : control_groups(text_in("/proc/self/cgroup"), "/sys/fs/cgroup"))
        for (const char* name : {"memory.events", "memory.oom_control"})
            kills += kills_in(group / name);
    return kills;
}

}  // namespace plumb
