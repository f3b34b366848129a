#include "cli/sweep_run_command.h"

#include "cli/exit_code.h"
#include "cli/stop_signals.h"
#include "cli/sweep_board.h"
#include "cli/sweep_index_command.h"
#include "cli/sweep_status_command.h"
#include "core/check.h"
#include "sweep/set_aside.h"
#include "sweep/sweep_places.h"
#include "sweep/sweep_runner.h"

#include <memory>

namespace plumb {
namespace {

constexpr const char* kRunExamples =
    R"(Runs that are done or diverged are skipped, stopped ones resumed, failed ones tried again.
Ctrl-C ends it after a checkpoint of every run; the same command goes on. Several of these on
the same folder share the work.
Examples:
  plumb sweep run blocks.toml -j 4
  plumb sweep run blocks.toml --threads 8 --gpus 0,1
  plumb sweep run -c base.toml mixer=standard,hyper train.seed=1..5 --out runs/hyper
)";

// shown: the board of the end stands above.
void print_end(const SweepResult& r, bool shown, const SweepFile& file, const std::string& go_on) {
    std::string text;
    for (const auto& f : r.last.failed)
        text += fmt::format("failed: {}: {}\n  log: {}\n", f.name, f.why, f.log);
    if (!r.stopped_for.empty()) text += fmt::format("stopped: {}\n", r.stopped_for);
    if (r.pending > 0)
        text += fmt::format("{} runs of the second stage wait for runs of the first that failed\n",
                            r.pending);
    if (!shown) text += board_line(r.last) + "\n";
    if (r.outcome == SweepOutcome::all_done)
        text += fmt::format("next: plumb compare {}\n", shell_quoted(file.out.string()));
    fmt::print("{}", printable(text));
    std::fflush(stdout);
    if (r.outcome == SweepOutcome::all_done) return;
    std::fprintf(stderr, "plumb: %s; go on with: %s\n",
                 r.outcome == SweepOutcome::interrupted ? "interrupted" : "some runs have failed",
                 printable_line(go_on).c_str());
}

}  // namespace

void TypedSweepRun::add_to(CLI::App& command) {
    command.add_option("-j,--jobs", run.jobs, "runs at a time (default: cores / threads)")
        ->type_name("N")
        ->check(CLI::Range(1, 4096));
    command.add_option("--threads", run.threads, "threads of each run (default: 1)")
        ->type_name("N")
        ->check(CLI::Range(1, 1024));
    command
        .add_option("--gpus", gpus,
                    "GPUs to spread the runs over, as in 0,1; 0,1x2: two on each. Sets "
                    "CUDA_VISIBLE_DEVICES of each run; not checked on GPUs")
        ->type_name("LIST");
    command
        .add_option("--retries", run.retry.retries,
                    "how often a run that failed is tried again (default: 2)")
        ->type_name("N")
        ->check(CLI::Range(0, 100));
    command
        .add_option("--wait", waits, "seconds before the first and later retries (default: 60,240)")
        ->type_name("S,...")
        ->delimiter(',');
    command
        .add_option(
            "--rerun", rerun,
            "make again: an id or folder of a run, failed, diverged, culled or outdated; the "
            "old ones go to SWEEP/.old")
        ->type_name("WHICH")
        ->delimiter(',')
        ->allow_extra_args(false);
    command.add_flag("--fail-fast", run.fail_fast,
                     "stop everything when a run has failed for good");
    command.add_flag("--quiet", quiet, "show failures and the end only");
}

int run_and_show(const SweepFile& file, const TypedSweep& typed, const TypedSweepRun& o) {
    SweepRunOptions options = o.run;
    options.gpus = parse_gpus(o.gpus);
    if (!o.waits.empty()) options.retry.waits.clear();
    for (const double s : o.waits) options.retry.waits.emplace_back(static_cast<long>(1000 * s));
    watch_signals();
    SweepPlan plan = write_plan(file);
    if (const long moved = set_aside(plan, o.rerun); moved > 0) {
        fmt::print("{} run{} set aside in {}\n", moved, moved == 1 ? "" : "s",
                   printable_line((file.out / ".old").string()));
        plan = write_plan(file);  // a first stage may have to be made again
    }
    const auto cores = static_cast<long>(allowed_cpus().size());
    if (static_cast<long>(options.jobs) * options.threads > cores)
        fmt::print("warning: {} runs of {} threads share {} cores, and slow each other down\n",
                   options.jobs, options.threads, cores);
    SweepBoard board(stdout, Terminal::of(stdout), file.path.string(), o.quiet);
    const SweepObserver observer{
        [&](const std::string& text, bool important) { board.event(text, important); },
        [&] { return board.due(); }, [&](const SweepSnapshot& s) { board.show(s); }};
    const SweepResult result = run_sweep(
        std::move(plan), [&] { return write_plan(file); }, options, observer, stop_requested);
    const bool shown = Terminal::of(stdout).interactive && !o.quiet;
    if (shown) board.show(result.last);
    board.finish();
    print_end(result, shown, file,
              typed.command("run") +
                  (o.run.jobs > 0 ? fmt::format(" -j {}", o.run.jobs) : std::string()));
    switch (result.outcome) {
        case SweepOutcome::all_done:
            return 0;
        case SweepOutcome::some_failed:
            return kCheckFailed;
        case SweepOutcome::interrupted:
            return kInterrupted;
    }
    return kInternal;
}

void add_sweep_run(CLI::App& sweep) {
    struct Options {
        TypedSweep typed;
        TypedSweepRun run;
    };
    auto o = std::make_shared<Options>();
    CLI::App* command =
        sweep.add_subcommand("run", "Trains the runs of a sweep, several at a time");
    o->typed.add_to(*command);
    o->run.add_to(*command);
    command->footer(kRunExamples);
    command->callback([o] {
        if (const int code = run_and_show(o->typed.read(), o->typed, o->run); code != 0)
            throw ExitWith{code};
    });
    add_sweep_run_index(sweep);
    add_sweep_status(sweep);
}

}  // namespace plumb
