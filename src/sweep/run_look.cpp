#include "sweep/run_look.h"

#include "core/check.h"
#include "run/run_lock.h"
#include "sweep/file_end.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

namespace plumb {
namespace fs = std::filesystem;
namespace {

std::string status_of(const fs::path& dir) {
    const std::string text = file_end(dir / "STATUS", 64);
    return text.substr(0, text.find_first_of(" \n"));
}

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

// Who holds the run now.
std::optional<ProcessId> holder_of(const fs::path& dir) {
    try {
        RunLock::refuse_if_busy(dir);
        return std::nullopt;
    } catch (const RunBusy& e) {
        return e.holder;
    } catch (const IoError&) {  // a lease, whose age cannot be found out: not free for all we know
        return ProcessId{"?", "", 0, 0};
    }
}

std::optional<RunWord> ended_word(const std::string& status) {
    if (status == "done") return RunWord::done;
    if (status == "diverged") return RunWord::diverged;
    return std::nullopt;
}

// The number after the last `key` in `text` that is followed by one.
std::optional<double> last_number_after(std::string_view text, std::string_view key) {
    for (std::size_t at = text.rfind(key); at != std::string_view::npos;
         at = at == 0 ? std::string_view::npos : text.rfind(key, at - 1)) {
        const char* begin = text.data() + at + key.size();
        double x = 0;
        if (std::from_chars(begin, text.data() + text.size(), x).ec == std::errc{}) return x;
    }
    return std::nullopt;
}

}  // namespace

const char* text_of(RunWord word) {
    constexpr std::array<const char*, kRunWords> words{"new",     "running",     "busy elsewhere",
                                                       "stopped", "interrupted", "failed",
                                                       "done",    "diverged",    "culled"};
    return words[static_cast<std::size_t>(word)];
}

bool is_over(RunWord word) { return word >= RunWord::done; }
bool is_held(RunWord word) { return word == RunWord::running || word == RunWord::elsewhere; }

RunLook look_at_run(const fs::path& dir) {
    const bool culled = is_there(dir / kCulledName);
    if (const auto ended = ended_word(status_of(dir)); ended && !culled) return {*ended};
    if (const auto holder = holder_of(dir)) {
        const bool here = holder->host == host_name() || holder->pid == 0;
        return {here ? RunWord::running : RunWord::elsewhere, holder};
    }
    if (culled) return {RunWord::culled};
    const std::string status = status_of(dir);  // again: it may have ended between the two looks
    if (const auto ended = ended_word(status)) return {*ended};
    if (status == "interrupted") return {RunWord::interrupted};
    if (status == "failed") return {RunWord::failed};
    if (!status.empty() || is_there(dir / "config.toml")) return {RunWord::stopped};
    return {last_error(dir).empty() ? RunWord::fresh : RunWord::failed};  // before it began
}

RunPace pace_of(const fs::path& dir) {
    RunPace pace;
    std::string metrics = file_end(dir / "metrics.jsonl", 4096);
    metrics.resize(metrics.find_last_of('\n') == std::string::npos ? 0
                                                                   : metrics.find_last_of('\n'));
    if (const auto step = last_number_after(metrics, "\"step\":"))
        pace.step = static_cast<long>(*step);
    pace.loss = last_number_after(metrics, "\"train/loss\":");
    // "4,400 tok/s" of a progress line, the thousands apart
    const std::string log = file_end(dir / kLogName, 4096);
    const std::size_t unit = log.rfind(" tok/s");
    if (unit == std::string::npos) return pace;
    const std::size_t blank = log.find_last_of(" \n", unit - (unit > 0 ? 1 : 0));
    if (blank == std::string::npos) return pace;
    std::string digits = log.substr(blank + 1, unit - blank - 1);
    std::erase(digits, ',');
    std::from_chars(digits.data(), digits.data() + digits.size(), pace.tokens_per_s);
    return pace;
}

namespace {

struct LogEnd {
    std::string line, error;
};
LogEnd log_end(const fs::path& dir) {
    constexpr std::string_view kOurs = "plumb: ";
    LogEnd end;
    std::istringstream log(file_end(dir / kLogName, 8192));
    for (std::string line; std::getline(log, line);) {
        if (line.empty()) continue;
        end.line = line;
        end.error = line.starts_with(kOurs) ? line.substr(kOurs.size()) : "";
    }
    return end;
}

}  // namespace

std::string last_error(const fs::path& dir) { return log_end(dir).error; }

std::string last_words(const fs::path& dir) {
    const LogEnd end = log_end(dir);
    return end.error.empty() ? end.line : end.error;
}

}  // namespace plumb
