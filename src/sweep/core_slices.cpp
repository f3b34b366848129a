#include "sweep/core_slices.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <sstream>

namespace plumb {
namespace {

// Part k of n of `items`, sizes as equal as can be.
template <class T>
std::vector<T> part(const std::vector<T>& items, std::size_t k, std::size_t n) {
    const auto at = [&](std::size_t i) {
        return items.begin() + static_cast<std::ptrdiff_t>(i * items.size() / n);
    };
    return {at(k), at(k + 1)};
}

int first_sibling(int cpu) {
    std::ifstream file(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    std::string text;
    std::getline(file, text);
    const std::vector<int> siblings = parse_cpu_list(text);
    return siblings.empty() ? cpu : *std::min_element(siblings.begin(), siblings.end());
}

// More CPUs than a cpu_set_t holds need a longer one.
std::vector<int> affinity() {
    for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 4) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(most));
        const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
        std::vector<int> cpus;
        const bool known = set && ::sched_getaffinity(0, bytes, set) == 0;
        for (int i = 0; known && i < most; ++i)
            if (CPU_ISSET_S(static_cast<std::size_t>(i), bytes, set)) cpus.push_back(i);
        CPU_FREE(set);
        if (!cpus.empty()) return cpus;
    }
    std::vector<int> cpus;
    for (int i = 0; i < std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)); ++i) cpus.push_back(i);
    return cpus;
}

}  // namespace

std::vector<LogicalCpu> allowed_cpus() {
    std::vector<LogicalCpu> cpus;
    for (const int id : affinity()) cpus.push_back({id, first_sibling(id)});
    return cpus;
}

std::vector<std::vector<int>> core_slices(const std::vector<LogicalCpu>& cpus, int n) {
    std::map<int, std::vector<int>> by_core;
    for (const LogicalCpu& cpu : cpus) by_core[cpu.core].push_back(cpu.id);
    std::vector<std::vector<int>> cores;
    for (auto& [core, ids] : by_core) cores.push_back(ids);
    const auto parts = static_cast<std::size_t>(std::max(n, 1));
    if (cores.size() < parts) {  // single CPUs; those of a core stay side by side
        std::vector<std::vector<int>> singles;
        for (const std::vector<int>& core : cores)
            for (const int id : core) singles.push_back({id});
        cores = singles;
    }
    std::vector<std::vector<int>> slices(parts);
    for (std::size_t k = 0; k < parts; ++k) {
        if (cores.size() < parts)
            slices[k] = cores[k % cores.size()];
        else
            for (const std::vector<int>& core : part(cores, k, parts))
                slices[k].insert(slices[k].end(), core.begin(), core.end());
        std::sort(slices[k].begin(), slices[k].end());
    }
    return slices;
}

std::string cpu_list(std::vector<int> cpus) {
    std::sort(cpus.begin(), cpus.end());
    std::string out;
    for (std::size_t i = 0; i < cpus.size();) {
        std::size_t last = i;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
        out += out.empty() ? "" : ",";
        out += last == i ? std::to_string(cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[last]);
        i = last + 1;
    }
    return out;
}

std::vector<int> parse_cpu_list(const std::string& text) {
    std::vector<int> cpus;
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) {
        int first = 0, last = 0;
        const char* end = word.data() + word.size();
        auto [at, error] = std::from_chars(word.data(), end, first);
        if (error != std::errc{}) return {};
        last = first;
        if (at != end && *at == '-' && std::from_chars(at + 1, end, last).ec != std::errc{})
            return {};
        for (int i = first; i <= last && last - first < 1 << 20; ++i) cpus.push_back(i);
    }
    return cpus;
}

}  // namespace plumb
