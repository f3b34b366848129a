#include "sweep/sbatch.h"

#include "core/check.h"
#include "sweep/outcome.h"

#include <algorithm>
#include <regex>

namespace plumb {
namespace {

constexpr long kLead = 120;  // seconds between the signal and the end of a job

}  // namespace

std::vector<std::string> index_chunks(const std::vector<long>& indices, long chunk) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < indices.size();) {
        std::size_t end = i + 1;
        while (end < indices.size() && indices[end] == indices[end - 1] + 1 &&
               static_cast<long>(end - i) < chunk)
            ++end;
        out.push_back(end == i + 1 ? fmt::format("{}", indices[i])
                                   : fmt::format("{}-{}", indices[i], indices[end - 1]));
        i = end;
    }
    return out;
}

long slurm_seconds(const std::string& text) {
    static const std::regex form(R"((?:(\d{1,4})-)?(\d{1,6})(?::(\d{1,2}))?(?::(\d{1,2}))?)");
    std::smatch m;
    if (!std::regex_match(text, m, form))
        throw UsageError(fmt::format(
            "--time: '{}' is no limit of a job; use MINUTES, HH:MM:SS or DAYS-HH:MM:SS", text));
    const auto part = [&](std::size_t i) { return m[i].matched ? std::stol(m[i].str()) : 0; };
    constexpr long kMinute = 60, kHour = 3600, kDay = 24 * kHour;
    if (m[1].matched) return part(1) * kDay + part(2) * kHour + part(3) * kMinute + part(4);
    if (m[4].matched) return part(2) * kHour + part(3) * kMinute + part(4);
    return part(2) * kMinute + part(3);
}

std::string sbatch_script(const SweepPlan& plan, const SbatchOptions& o) {
    constexpr long kShortest = 300;
    if (slurm_seconds(o.time) < kShortest)
        throw UsageError(fmt::format(
            "--time {}: a job is stopped {} s before its end, to write its checkpoint; give it 5 "
            "minutes or more",
            o.time, kLead));
    std::vector<long> todo;
    double memory = 0;
    for (const PlannedRun& run : plan.runs) {
        if (ended_run(run.dir, plan.file.metric)) continue;
        todo.push_back(run.index);
        memory = std::max(memory, run.memory);
    }
    std::sort(todo.begin(), todo.end());
    if (todo.empty())
        throw UsageError(fmt::format("{}: every run has ended; type: plumb compare {}",
                                     plan.file.path.string(), plan.file.out.string()));
    const std::vector<std::string> chunks = index_chunks(todo, o.chunk);
    if (static_cast<long>(chunks.size()) > o.max_array)
        throw UsageError(fmt::format(
            "{} jobs are more than --max-array {}; take --chunk {} or more, so that a job makes "
            "several runs",
            chunks.size(), o.max_array,
            (static_cast<long>(todo.size()) + o.max_array - 1) / o.max_array));
    constexpr double kMegabyte = 1 << 20, kHeadroom = 1.3, kProgram = 200;
    std::string out = fmt::format(
        "#!/bin/bash\n"
        "# {} runs of {} in {} jobs; submit with: sbatch THIS_FILE\n"
        "#SBATCH --job-name={}\n#SBATCH --array=0-{}\n#SBATCH --cpus-per-task={}\n"
        "#SBATCH --mem={:.0f}M\n#SBATCH --time={}\n",
        todo.size(), o.file, chunks.size(), plan.file.name, chunks.size() - 1, o.threads,
        kHeadroom * memory / kMegabyte + kProgram, o.time);
    if (!o.partition.empty()) out += fmt::format("#SBATCH --partition={}\n", o.partition);
    out += fmt::format(
        "#SBATCH --output=\"{}\"\n"
        "#SBATCH --signal=B:TERM@{} --requeue --open-mode=append\n"
        "chunks=({})\n"
        "job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\n"
        "{} sweep run-index {} \"${{chunks[$SLURM_ARRAY_TASK_ID]}}\" --threads {} &\n"
        "child=$!\n"
        "trap 'kill -TERM $child' TERM USR1 # what ends a job makes the run write its checkpoint\n"
        "wait $child\n"
        "while kill -0 $child 2>/dev/null; do wait $child; done\n"
        "wait $child; code=$?\n"
        "if [ $code = 130 ] && [ \"$(squeue -h -j $job -o %T)\" = RUNNING ]; then\n"
        "    scontrol requeue $job # its time is over; a cancelled job is not RUNNING any more\n"
        "fi\n"
        "exit $code\n",
        (plan.file.out / "slurm-%A_%a.txt").string(), kLead, fmt::join(chunks, " "), o.plumb,
        o.file, o.threads);
    return out;
}

}  // namespace plumb
