#include "sweep/run_index.h"

#include "core/exit_code.h"
#include "core/files.h"
#include "sweep/child_process.h"
#include "sweep/run_look.h"

#include <charconv>

namespace plumb {
namespace {

RunEnd wait_for(ChildProcess& child, const StopFlag& stop) {
    bool asked = false;
    while (true) {
        if (const auto end = child.ended()) return *end;
        if (stop && !asked) {
            child.ask_to_stop();
            asked = true;
        }
        wait_for_end({child.life_line()}, std::chrono::milliseconds(100));
    }
}

int run_one(const PlannedRun& run, const std::string& lock, const RunIndexOptions& o,
            const StopFlag& stop) {
    const std::string name = run.dir.filename().string();
    const auto say = [&](const std::string& text) {
        if (o.event) o.event(fmt::format("{}: {}", name, text));
    };
    const RunLook look = look_at_run(run.dir);
    if (is_over(look.word)) return say(fmt::format("{} already", text_of(look.word))), 0;
    if (is_held(look.word)) return say("another process is at it"), kBusy;
    make_folder(run.dir);
    ChildOptions child{train_arguments(run, lock, o.threads), run.dir / kLogName};
    child.program = o.program;
    child.environment = {{"OMP_NUM_THREADS", std::to_string(o.threads)},
                         {"OMP_WAIT_POLICY", "passive"}};
    say("start");
    ChildProcess process(child);
    const RunEnd end = wait_for(process, stop);
    if (end.signal == 0 && end.exit == 0) return say("done"), 0;
    if (end.signal == 0 && end.exit == kDiverged) return say("diverged"), 0;
    if (end.signal == 0 && end.exit == kBusy) return say("another process is at it"), kBusy;
    if (stop) return say("interrupted after a checkpoint"), kInterrupted;
    say(fmt::format("{}: {}; log: {}", text_of(end), last_words(run.dir), child.log.string()));
    return end.signal != 0 ? 128 + end.signal : end.exit;
}

}  // namespace

std::pair<long, long> parse_indices(const std::string& text) {
    long first = -1, last = -1;
    const char* end = text.data() + text.size();
    auto [at, error] = std::from_chars(text.data(), end, first);
    last = first;
    if (error == std::errc{} && at != end && *at == '-') {
        const auto more = std::from_chars(at + 1, end, last);
        at = more.ptr, error = more.ec;
    }
    if (error != std::errc{} || at != end || first < 0 || last < first)
        throw UsageError(
            fmt::format("'{}' is no index of a run; use a number, or two as in 17-20", text));
    return {first, last};
}

int run_indices(const std::vector<PlannedRun>& runs, const std::string& lock,
                const RunIndexOptions& options, const StopFlag& stop) {
    int code = 0;
    for (const PlannedRun& run : runs) {
        if (stop) return kInterrupted;
        const int one = run_one(run, lock, options, stop);
        if (one == kInterrupted && stop) return one;
        if (code == 0 || code == kBusy) code = one != 0 ? one : code;
    }
    return code;
}

}  // namespace plumb
