#include "cli/sweep_index_command.h"

#include "cli/exit_code.h"
#include "cli/stop_signals.h"
#include "core/text.h"
#include "core/threads.h"
#include "sweep/run_index.h"

#include <memory>

namespace plumb {
namespace {

struct SweepIndexOptions {
    std::string file, index;
    SweepOptions sweep;
    int threads = 0;
};

// One thread unless somebody says otherwise: an engine starts as many of these as it has cores.
int threads_of(const SweepIndexOptions& o) {
    const ThreadCount chosen = choose_threads(o.threads);
    return chosen.from == "all cores" ? 1 : chosen.n;
}

void run_index(const SweepIndexOptions& o) {
    const auto [first, last] = parse_indices(o.index);
    std::error_code ignored;
    const std::filesystem::path path = o.file;
    const SweepFile file = read_sweep_file(
        std::filesystem::is_directory(path, ignored) ? path / "sweep.toml" : path, o.sweep);
    watch_signals();
    const SweepPlan plan = write_plan(file);
    const RunIndexOptions options{threads_of(o), "/proc/self/exe", [](const std::string& text) {
                                      fmt::print("{}\n", printable_line(text));
                                      std::fflush(stdout);
                                  }};
    const int code = run_indices(runs_at(plan, first, last), file.lock, options, stop_requested);
    if (code != 0) throw ExitWith{code};
}

}  // namespace

void add_sweep_run_index(CLI::App& sweep) {
    auto o = std::make_shared<SweepIndexOptions>();
    CLI::App* command =
        sweep.add_subcommand("run-index", "Trains one run of a sweep, for another engine");
    command->add_option("sweep", o->file, "sweep file, or the folder of a sweep")
        ->required()
        ->type_name("FILE.toml|DIR");
    command->add_option("index", o->index, "line of plan.jsonl, from 0; K-L: one after the other")
        ->required()
        ->type_name("K|K-L");
    command->add_option("--set", o->sweep.set, "setting over those of the base file")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    command->add_option("--scale", o->sweep.scale, "[scale.NAME] of the file, for example gpu")
        ->type_name("NAME");
    command->add_option("--out", o->sweep.out, "folder of the sweep (runs/NAME of the file)")
        ->type_name("DIR");
    command
        ->add_option("--threads", o->threads,
                     "threads of the run (OMP_NUM_THREADS, SLURM_CPUS_PER_TASK or 1)")
        ->type_name("N")
        ->check(CLI::Range(1, 1024));
    command->footer(
        R"(On the cores that it may use; what has ended already ends at once. SIGTERM and SIGUSR1 make the
run write a checkpoint; the same command goes on. Exit codes: 0 the run has a result (also one that
diverged or was culled), 75 another process is at it, 130 stopped after a checkpoint, else as train.
Examples:
  plumb sweep run-index blocks.toml 17
  plumb sweep run-index blocks.toml 0-9 --threads 4
  seq 0 59 | xargs -P 4 -n 1 plumb sweep run-index blocks.toml
)");
    command->callback([o] { run_index(*o); });
}

}  // namespace plumb
