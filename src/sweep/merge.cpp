#include "sweep/merge.h"

#include "core/files.h"
#include "run/run_condition.h"
#include "run/run_lock.h"
#include "sweep/outcome.h"
#include "sweep/plan_file.h"

#include <algorithm>
#include <map>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMetric = "final_val_loss";

// How far a run came: ended above all, else its last step.
long progress_of(const fs::path& run) {
    constexpr long kEnded = 1L << 62;
    return ended_run(run, kMetric) ? kEnded : run_condition(run).step;
}

// Whole or not at all.
void copy_run(const fs::path& from, const fs::path& to) {
    const fs::path part = to.parent_path() / (".copy_of_" + to.filename().string());
    remove_path(part);
    std::error_code error;
    fs::copy(from, part, fs::copy_options::recursive, error);
    if (error) {
        remove_path(part);
        throw IoError(
            fmt::format("cannot copy {} to {}: {}", from.string(), part.string(), error.message()));
    }
    rename_path(part, to);
}

// Out of the way, under a name that is not taken.
void set_aside(const fs::path& run, const fs::path& into) {
    const fs::path folder = into / ".merged";
    make_folder(folder);
    fs::path to = folder / run.filename();
    std::error_code ignored;
    for (int n = 2; fs::exists(to, ignored); ++n)
        to = folder / fmt::format("{}.{}", run.filename().string(), n);
    rename_path(run, to);
}

void merge_run(const std::string& id, const fs::path& theirs, const fs::path& ours,
               MergeReport& report) {
    std::error_code ignored;
    if (!fs::exists(theirs, ignored)) return;  // planned and never begun
    RunLock::refuse_if_busy(theirs);
    if (!fs::exists(ours, ignored)) {
        copy_run(theirs, ours);
        ++report.taken;
        return;
    }
    RunLock::refuse_if_busy(ours);
    const auto a = ended_run(ours, kMetric), b = ended_run(theirs, kMetric);
    if (a && b) {
        if (a->metric == b->metric)
            ++report.equal;
        else
            report.differ.push_back(fmt::format(
                "{}: {} {} in {}, {} in {}", id, kMetric,
                a->metric ? fmt::format("{}", *a->metric) : std::string("none"), ours.string(),
                b->metric ? fmt::format("{}", *b->metric) : std::string("none"), theirs.string()));
        return;
    }
    if (progress_of(theirs) <= progress_of(ours)) {
        ++report.kept;
        return;
    }
    set_aside(ours, ours.parent_path());
    copy_run(theirs, ours);
    ++report.replaced;
}

}  // namespace

MergeReport merge_sweeps(const fs::path& into, const fs::path& from) {
    const std::vector<PlanLine> theirs = read_plan_file(from);
    for (const auto& [folder, lines] : {std::pair{from, theirs}, {into, read_plan_file(into)}})
        if (lines.empty())
            throw UsageError(
                fmt::format("{} is no folder of a sweep: it has no plan.jsonl", folder.string()));
    std::error_code ignored;
    if (fs::equivalent(into, from, ignored))
        throw UsageError(fmt::format("{} and {} are one folder", into.string(), from.string()));
    std::map<std::string, std::string> ours;  // id -> folder
    for (const PlanLine& line : read_plan_file(into)) ours[line.id] = line.dir;
    if (std::none_of(theirs.begin(), theirs.end(),
                     [&](const PlanLine& line) { return ours.contains(line.id); }))
        throw UsageError(
            fmt::format("{} and {} have no run in common: they are different sweeps. "
                        "Nothing was copied",
                        into.string(), from.string()));
    append_to_plan_file(theirs, into);
    for (const PlanLine& line : read_plan_file(into)) ours[line.id] = line.dir;
    MergeReport report;
    for (const PlanLine& line : theirs)
        merge_run(line.id, from / line.dir, into / ours.at(line.id), report);
    return report;
}

}  // namespace plumb
