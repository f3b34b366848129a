#include "sweep/sbatch.h"

#include "core/check.h"
#include "sweep/outcome.h"

#include <algorithm>

namespace plumb {

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

std::string sbatch_script(const SweepPlan& plan, const SbatchOptions& o) {
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
        "#SBATCH --signal=B:TERM@120 --requeue --open-mode=append\n"
        "chunks=({})\n"
        "{} sweep run-index {} \"${{chunks[$SLURM_ARRAY_TASK_ID]}}\" --threads {} &\n"
        "child=$!\n"
        "trap 'kill -TERM $child' TERM USR1 # what ends a job makes the run write its checkpoint\n"
        "wait $child; code=$?\n"
        "while kill -0 $child 2>/dev/null; do wait $child; code=$?; done\n"
        "if [ $code = 130 ]; then scontrol requeue "
        "\"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\"; "
        "fi\n"
        "exit $code\n",
        fmt::join(chunks, " "), o.plumb, o.file, o.threads);
    return out;
}

}  // namespace plumb
