#include "sweep/set_aside.h"

#include "config/numerics.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "run/run_directory.h"
#include "run/run_lock.h"
#include "sweep/run_look.h"
#include "sweep/run_origin.h"

#include <algorithm>

namespace plumb {
namespace fs = std::filesystem;
namespace {

bool is_of_kind(const PlannedRun& run, const std::string& word) {
    if (word == "outdated") return is_outdated(origin_of(run.dir), numerics(run.config));
    return word == text_of(look_at_run(run.dir).word);
}

const PlannedRun& named(const SweepPlan& plan, const std::string& word) {
    std::vector<std::string> known{"failed", "diverged", "culled", "outdated"};
    for (const PlannedRun& run : plan.runs) {
        const std::string folder = run.dir.filename().string();
        if (word == run.id || word == folder || fs::path(word) == run.dir) return run;
        known.push_back(run.id);
        known.push_back(folder);
    }
    throw UsageError(fmt::format(
        "--rerun {}: no run of the sweep has this id; use an id or folder of `plumb sweep status`, "
        "or failed, diverged, culled, outdated{}",
        word, did_you_mean(word, known)));
}

// The first N that is free.
fs::path new_folder(const fs::path& old) {
    make_folder(old);
    for (int n = 1;; ++n) {
        const fs::path folder = old / std::to_string(n);
        std::error_code error;
        if (fs::create_directory(folder, error)) return folder;
        if (error) throw_io_error("create", folder, error.value());
    }
}

}  // namespace

bool set_aside_remains(const fs::path& run, const fs::path& sweep) {
    std::error_code ignored;
    if (!fs::is_directory(run, ignored) || !holds_foreign_files(run)) return false;
    RunLock::refuse_if_busy(run);
    rename_path(run, new_folder(sweep / ".old") / run.filename());
    return true;
}

long set_aside(const SweepPlan& plan, const std::vector<std::string>& which) {
    std::vector<fs::path> moved;
    for (const std::string& word : which) {
        const bool kind =
            word == "failed" || word == "diverged" || word == "culled" || word == "outdated";
        if (!kind) moved.push_back(named(plan, word).dir);
        for (const PlannedRun& run : plan.runs)
            if (kind && is_of_kind(run, word)) moved.push_back(run.dir);
    }
    std::sort(moved.begin(), moved.end());
    moved.erase(std::unique(moved.begin(), moved.end()), moved.end());
    std::erase_if(moved, [](const fs::path& dir) {
        std::error_code ignored;
        return !fs::exists(dir, ignored);
    });
    for (const fs::path& dir : moved) RunLock::refuse_if_busy(dir);
    if (moved.empty()) return 0;
    const fs::path folder = new_folder(plan.file.out / ".old");
    for (const fs::path& dir : moved) rename_path(dir, folder / dir.filename());
    return static_cast<long>(moved.size());
}

}  // namespace plumb
