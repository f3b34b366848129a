#include "core/process.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <sstream>

namespace plumb {
namespace {

std::string boot_id() {
    std::string id;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
    return id;
}

// Field `n` of /proc/PID/stat, from the fourth on; the second, the name in parentheses, may hold
// blanks. 0: no such process, or not Linux.
long long stat_field(long pid, int n) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int i = 3; i < n; ++i) fields >> skipped;
    long long value = 0;
    return fields >> value ? value : 0;
}

long long start_ticks(long pid) { return stat_field(pid, 22); }

}  // namespace

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

ProcessId this_process() {
    const long pid = ::getpid();
    return {host_name(), boot_id(), pid, start_ticks(pid)};
}

std::string process_tag() {
    std::string host = host_name().substr(0, 40);
    for (char& c : host)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
    return host + "." + std::to_string(::getpid());
}

bool is_process_tag(std::string_view text) {
    const std::size_t dot = text.find('.');
    if (dot == 0 || dot == std::string_view::npos || dot + 1 == text.size()) return false;
    const auto all = [](std::string_view part, auto&& good) {
        return std::all_of(part.begin(), part.end(), good);
    };
    return all(text.substr(0, dot), [](unsigned char c) { return std::isalnum(c) || c == '-'; }) &&
           all(text.substr(dot + 1), [](unsigned char c) { return std::isdigit(c); });
}

std::optional<bool> is_running(const ProcessId& process) {
    if (process.host != host_name() || process.boot_id.empty() || process.start_ticks == 0)
        return std::nullopt;
    return process.boot_id == boot_id() && process.start_ticks == start_ticks(process.pid);
}

long parent_of(long pid) { return static_cast<long>(stat_field(pid, 4)); }

}  // namespace plumb
