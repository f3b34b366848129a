// Who this process is, as a lock and the names of temporary files need it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plumb {

// The machine's name; "unknown" if the system does not say.
std::string host_name();

// A process for ever: a number of a process is given again, with another start.
struct ProcessId {
    std::string host, boot_id;  // boot_id: of this start of the machine; "" if not known
    long pid = 0;
    long long start_ticks = 0;  // since the boot; 0 if not known

    bool operator==(const ProcessId&) const = default;
};
ProcessId this_process();

// "HOST.PID" for names of files, of letters, digits and '-' but for the one dot.
std::string process_tag();
bool is_process_tag(std::string_view text);

// Whether it runs; nothing for another machine, and where the system does not say.
std::optional<bool> is_running(const ProcessId& process);

// The process that started it, or that took it over; 0 if it is gone or the system does not say.
long parent_of(long pid);

}  // namespace plumb
