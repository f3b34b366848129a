// How much memory the runs of a sweep may plan with at once.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

// Of what is free, the share that runs may plan with: what a process needs beside its planned
// tensors, and everybody else on the machine, have the rest.
inline constexpr double kMemoryShare = 0.85;

struct FreeMemory {
    std::optional<double> available{};  // MemAvailable of the machine; bytes
    std::optional<double> limit{};      // of the control group, the least of those around it

    // Bytes that the runs together may plan with; nothing is known: no bound.
    double for_runs() const;
};
FreeMemory free_memory();

// Whether a run that plans with `own` bytes may start beside runs that plan with `running`.
inline bool fits(double own, double running, double for_runs) { return running + own <= for_runs; }

// How often the system has killed a process for want of memory, here or in this control group. A
// greater number than before a process was killed says why.
long out_of_memory_kills();

// The parts of free_memory(), for files in another folder than / (a test).
std::optional<double> available_memory(const std::string& meminfo);
std::optional<double> control_group_limit(const std::string& proc_self_cgroup,
                                          const std::filesystem::path& cgroup_root);

}  // namespace plumb
