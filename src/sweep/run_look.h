// How a run of a sweep stands, by one quick look at its folder: ten thousand are looked at for one
// `plumb sweep status`. Nothing is parsed but STATUS.
#pragma once

#include "core/process.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

enum class RunWord : std::uint8_t {
    fresh,        // "new": no run is there yet
    running,      // a process of this machine holds it
    elsewhere,    // "busy elsewhere": a process of another machine does
    stopped,      // it calls itself running, and nobody holds it: killed
    interrupted,  // asked to end, after a checkpoint
    failed,
    done,
    diverged,
    culled,  // stopped for its loss (sweep/cull.h)
};
inline constexpr int kRunWords = 9;
const char* text_of(RunWord word);

// Nothing more is to be done: done, diverged or culled.
bool is_over(RunWord word);
// Another process is at it: running or elsewhere.
bool is_held(RunWord word);

struct RunLook {
    RunWord word = RunWord::fresh;
    std::optional<ProcessId> holder{};  // if it is held
};
// Throws nothing for a folder that is missing or damaged.
RunLook look_at_run(const std::filesystem::path& dir);

// Why a run was culled: RUN/CULLED, one line. There is none for a run that was not.
inline constexpr const char* kCulledName = "CULLED";

// The newest that a run's files say of its progress.
struct RunPace {
    long step = -1;  // -1: none
    std::optional<double> loss{};
    double tokens_per_s = 0;  // 0: not known
};
// From the ends of metrics.jsonl and log.txt.
RunPace pace_of(const std::filesystem::path& dir);

// The output of the processes that a sweep starts for a run, one after the other.
inline constexpr const char* kLogName = "log.txt";
// The error it ends with: "plumb: cannot write ..." without the "plumb: "; "" if there is none.
std::string last_error(const std::filesystem::path& dir);
// The same, else its last line.
std::string last_words(const std::filesystem::path& dir);

}  // namespace plumb
