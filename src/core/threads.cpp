#include "core/threads.h"

#include <omp.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace plumb {
namespace {

constexpr int kMostThreads = 1024;

// The number that the variable begins with ("4,2": levels of nesting); 0 if there is none.
int number_in(const char* variable) {
    const char* value = std::getenv(variable);
    if (!value) return 0;
    const std::string_view text(value);
    int n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    const bool whole = end == text.data() + text.size() || *end == ',';
    return error == std::errc{} && whole && n >= 1 && n <= kMostThreads ? n : 0;
}

}  // namespace

ThreadCount choose_threads(int asked) {
    if (asked > 0) return {asked, "--threads"};
    for (const char* variable : {"OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"})
        if (const int n = number_in(variable); n > 0) return {n, variable};
    return {omp_get_num_procs(), "all cores"};
}

}  // namespace plumb
