// Which cores each of several runs gets, so that they stay out of each other's way.
#pragma once

#include <string>
#include <vector>

namespace plumb {

struct LogicalCpu {
    int id = 0;    // as the system counts
    int core = 0;  // the physical core it is part of: the least id of it
};

// Those that this process may run on, in order. Where the system does not say what belongs
// together, each is a core of its own.
std::vector<LogicalCpu> allowed_cpus();

// Cuts them into n parts as equal as can be: whole physical cores as long as there are n of them,
// then single CPUs; with fewer CPUs than n, parts share one. n >= 1, cpus not empty.
std::vector<std::vector<int>> core_slices(const std::vector<LogicalCpu>& cpus, int n);

// "0-3,8"
std::string cpu_list(std::vector<int> cpus);
// The reverse; {} for another text.
std::vector<int> parse_cpu_list(const std::string& text);

}  // namespace plumb
