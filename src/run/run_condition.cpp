#include "run/run_condition.h"

#include "config/config.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "formats/jsonl.h"
#include "run/run_lock.h"
#include "train/checkpoint.h"

#include <algorithm>

namespace plumb {
namespace fs = std::filesystem;
namespace {

std::string status_word(const fs::path& run) {
    std::string text;
    try {
        text = read_file(run / "STATUS");
    } catch (const IoError&) {
        return "unknown";
    }
    const std::string word = text.substr(0, text.find_first_of(" \n"));
    for (const char* known : {"done", "running", "interrupted", "diverged", "failed"})
        if (word == known) return word;
    return "unknown";
}

// True also where it cannot be found out.
bool is_held(const fs::path& run) {
    try {
        RunLock::refuse_if_busy(run);
        return false;
    } catch (const RunBusy&) {
    } catch (const IoError&) {  // a lease needs the clock of a file server that refuses
    }
    return true;
}

long reached_step(const fs::path& run) {
    long step = -1;
    for (const auto& [saved, path] : whole_checkpoints(run))
        step = std::max(step, static_cast<long>(saved));
    try {
        step = std::max(step, last_logged_step(run));
    } catch (const IoError&) {
    }
    return step;
}

long planned_steps(const fs::path& run) {
    try {
        return load_run_config(run).train.steps;
    } catch (const std::runtime_error&) {  // damaged, which is for whoever needs it to say
        return 0;
    }
}

}  // namespace

RunCondition run_condition(const fs::path& run) {
    std::string status = status_word(run);
    if (status == "running" && !is_held(run)) {
        status = status_word(run);  // again: it may have ended between the two looks
        if (status == "running") status = "interrupted";
    }
    return {status, reached_step(run), planned_steps(run)};
}

std::string unfinished_text(const fs::path& run, const RunCondition& c) {
    if (c.status == "done") return "";
    std::string text = c.status == "unknown" ? "not known to be done (STATUS)" : c.status;
    text += c.step < 0 ? ", before its first step" : fmt::format(" at step {}", c.step);
    if (c.step >= 0 && c.steps > 0) text += fmt::format(" of {}", c.steps);
    const std::string again =
        fmt::format("plumb train --out {} --resume auto", shell_quoted(run.string()));
    if (c.status == "interrupted" || c.status == "failed") text += "; go on with: " + again;
    if (c.status == "diverged")
        text += "; from its last checkpoint: " + again + " --retry-diverged";
    return text;
}

long last_logged_step(const fs::path& run) {
    long step = -1;
    std::error_code ignored;
    if (fs::exists(run / "metrics.jsonl", ignored))
        for (const auto& line : read_jsonl(run / "metrics.jsonl"))
            if (const auto s = line.find("step"); s != line.end() && s->is_number_integer())
                step = std::max(step, s->get<long>());
    return step;
}

}  // namespace plumb
