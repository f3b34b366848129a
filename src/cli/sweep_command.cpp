#include "cli/sweep_command.h"

#include "cli/exit_code.h"
#include "cli/sweep_plan_text.h"
#include "cli/sweep_run_command.h"
#include "cli/sweep_typed.h"
#include "cli/terminal.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "sweep/calibrate.h"
#include "sweep/merge.h"
#include "sweep/noise.h"
#include "sweep/outcome.h"
#include "sweep/sbatch.h"

#include <algorithm>
#include <filesystem>
#include <memory>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSweepExamples = R"(Examples:
  plumb sweep plan experiments/noise.toml
  plumb sweep run experiments/noise.toml -j 2
  plumb sweep run -c base.toml mixer=standard,attnres_block train.seed=1..5 -j 2 --out runs/ab
  plumb sweep status experiments/noise.toml --watch
)";

// The program as other programs have to call it.
std::string own_path() {
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error);
    return shell_quoted(error ? std::string("plumb") : self.string());
}

template <class Options>
CLI::App* add(CLI::App& sweep, const char* name, const char* text, const char* footer,
              const std::shared_ptr<Options>& options) {
    CLI::App* command = sweep.add_subcommand(name, text);
    command->footer(footer);
    options->typed.add_to(*command);
    return command;
}

// ---- plan --------------------------------------------------------------------------------------

struct PlanOptions {
    TypedSweep typed;
    bool json = false, jsonl = false;
};

void add_plan(CLI::App& sweep) {
    auto o = std::make_shared<PlanOptions>();
    CLI::App* command =
        add(sweep, "plan", "The runs of a sweep, what they cost, and what their seeds can find",
            R"(Runs nothing, and writes nothing but the file of typed settings.
Examples:
  plumb sweep plan experiments/noise.toml
  plumb sweep plan blocks.toml --only 'block*' --json
  plumb sweep plan -c base.toml mixer=standard,hyper mixer.streams=2,4 --out runs/streams
)",
            o);
    command->add_flag("--json", o->json, "the whole plan as JSON");
    command->add_flag("--jsonl", o->jsonl, "a line of JSON for each run");
    command->callback([o] {
        const SweepPlan plan = make_plan(o->typed.read());
        if (o->json || o->jsonl)
            print_plan_json(plan, o->jsonl);
        else
            print_plan(plan, o->typed);
    });
}

// ---- for other engines -------------------------------------------------------------------------

struct CommandsOptions {
    TypedSweep typed;
    bool todo = false, indices = false;
    int threads = 1;
};

void add_commands(CLI::App& sweep) {
    auto o = std::make_shared<CommandsOptions>();
    CLI::App* command =
        add(sweep, "commands", "A line for the shell for each run of a sweep",
            R"(Each line may be run anywhere the folder can be seen, and any number of times:
what has ended ends at once.
Examples:
  plumb sweep commands blocks.toml --todo | parallel -j 2
  plumb sweep commands blocks.toml --todo | xargs -d '\n' -P 2 -I{} sh -c {}
  plumb sweep commands blocks.toml --indices | xargs -P 2 -n 1 plumb sweep run-index blocks.toml
)",
            o);
    command->add_flag("--todo", o->todo, "runs that have not ended");
    command->add_flag("--indices", o->indices, "the numbers alone that run-index takes");
    command->add_option("--threads", o->threads, "threads of a run")->type_name("N");
    command->callback([o] {
        const SweepPlan plan = write_plan(o->typed.read());
        const std::string start = own_path() + o->typed.command("run-index").substr(5);
        for (const PlannedRun& run : plan.runs) {
            if (o->todo && ended_run(run.dir, plan.file.metric)) continue;
            if (o->indices)
                fmt::print("{}\n", run.index);
            else
                fmt::print("{} {} --threads {} # {}\n", start, run.index, o->threads,
                           run.dir.filename().string());
        }
        if (!plan.pending.empty())
            std::fprintf(stderr, "plumb: runs with tuned settings come when these have ended\n");
    });
}

struct SbatchTyped {
    TypedSweep typed;
    SbatchOptions slurm;
};

void add_sbatch(CLI::App& sweep) {
    auto o = std::make_shared<SbatchTyped>();
    CLI::App* command = add(sweep, "sbatch", "Prints a Slurm script that makes the runs left",
                            R"(Submits nothing: look at the script, then give it to sbatch.
Examples:
  plumb sweep sbatch blocks.toml --time 02:00:00 > job.sh && sbatch job.sh
  plumb sweep sbatch blocks.toml --chunk 4 --partition short
  plumb sweep sbatch blocks.toml --only 'block*' --threads 4
)",
                            o);
    SbatchOptions& s = o->slurm;
    command->add_option("--chunk", s.chunk, "runs of a job")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    command->add_option("--max-array", s.max_array, "jobs that an array may have")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    command->add_option("--time", s.time, "limit of a job, 5 minutes or more")
        ->type_name("HH:MM:SS");
    command->add_option("--partition", s.partition, "partition to ask for")->type_name("NAME");
    command->add_option("--threads", s.threads, "threads of a run")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    command->callback([o] {
        const SweepPlan plan = write_plan(o->typed.read());
        SbatchOptions slurm = o->slurm;
        slurm.plumb = own_path();
        slurm.file = o->typed.command("").substr(std::string("plumb sweep  ").size());
        fmt::print("{}", sbatch_script(plan, slurm));
    });
}

// ---- merge -------------------------------------------------------------------------------------

void add_merge(CLI::App& sweep) {
    auto folders = std::make_shared<std::vector<std::string>>();
    CLI::App* command =
        sweep.add_subcommand("merge", "Brings folders of one sweep from several machines together");
    command->footer(
        R"(Of a run that is in both the one that came further stays; the other goes to
INTO/.merged.
Examples:
  plumb sweep merge runs/blocks node2/runs/blocks
  plumb sweep merge runs/blocks node*/runs/blocks
  plumb sweep merge runs/blocks /mnt/backup/blocks
)");
    command->add_option("folders", *folders, "the folder that takes, then those that give")
        ->required()
        ->type_name("INTO FROM...");
    command->callback([folders] {
        if (folders->size() < 2)
            throw UsageError("merge: name the folder that takes and one that gives");
        bool differ = false;
        for (std::size_t i = 1; i < folders->size(); ++i) {
            const MergeReport r = merge_sweeps(folders->front(), folders->at(i));
            fmt::print("{}: {} taken, {} replaced by further ones, {} kept, {} the same\n",
                       printable_line(folders->at(i)), r.taken, r.replaced, r.kept, r.equal);
            for (const std::string& line : r.differ)
                fmt::print("same run, two results: {}\n", printable_line(line));
            differ = differ || !r.differ.empty();
        }
        if (differ) throw ExitWith{kCheckFailed};
    });
}

// ---- calibrate, noise --------------------------------------------------------------------------

struct CalibrateTyped {
    TypedSweep typed;
    CalibrateOptions options;
};

void add_calibrate(CLI::App& sweep) {
    auto o = std::make_shared<CalibrateTyped>();
    CLI::App* command =
        add(sweep, "calibrate", "Measures the speeds that match = \"time\" needs",
            R"(Writes SWEEP/calibration.toml. Type it on a quiet machine; another machine is
another calibration.
Examples:
  plumb sweep calibrate equal_time.toml
  plumb sweep calibrate equal_time.toml --rounds 25
  plumb sweep calibrate equal_time.toml --threads 2
)",
            o);
    command->add_option("--rounds", o->options.rounds, "steps of each in turn")
        ->type_name("N")
        ->check(CLI::Range(3, 1000));
    command->add_option("--threads", o->options.threads, "threads of a run")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    command->callback([o] {
        const SweepFile file = o->typed.read();
        ProgressLine line(stderr, Terminal::of(stderr));
        CalibrateOptions options = o->options;
        options.progress = [&](double fraction, const std::string& what) {
            line.update(fraction, what);
        };
        const Calibration c = calibrate(file, options);
        line.finish();
        make_folder(file.out);
        const fs::path path = file.out / "calibration.toml";
        write_file(path, to_toml(c));
        Table table({"variant", ">tokens/s", ">step time", ">95 %", ">steps"});
        for (const CalibratedCell& cell : c.cells)
            table.add(
                {printable_line(cell.variant), thousands(static_cast<long long>(cell.tokens_per_s)),
                 fmt::format("{:.3f}x", cell.relative),
                 fmt::format("{:.3f} to {:.3f}", cell.low, cell.high), thousands(cell.steps)});
        fmt::print("{}wrote {}\n", table.text(), path.string());
    });
}

void add_noise(CLI::App& sweep) {
    struct Options {
        TypedSweep typed;
        TypedSweepRun run;
    };
    auto o = std::make_shared<Options>();
    CLI::App* command = add(
        sweep, "noise", "Runs the baseline with ten seeds: how much does the seed alone move it?",
        R"(Makes and runs the sweep OUT-noise, and keeps the deviation in noise.json beside
it, where `plumb sweep plan` finds it.
Examples:
  plumb sweep noise blocks.toml -j 2
  plumb sweep noise blocks.toml --seeds 1..5
  plumb sweep noise -c base.toml mixer=standard --out runs/standard -j 2
)",
        o);
    o->run.add_to(*command);
    command->callback([o] {
        const SweepFile file = o->typed.read();
        const fs::path out = file.out.string() + "-noise";
        make_folder(out);
        const NoiseSweep baseline = noise_sweep(file);
        write_file(out / "base.toml", to_toml(baseline.base));
        write_file(out / "sweep.toml", baseline.text);
        SweepOptions options;
        options.seeds = o->typed.options.seeds;
        options.out = out;
        const SweepFile noise = read_sweep_file(out / "sweep.toml", options);
        TypedSweep typed;
        typed.words = {(out / "sweep.toml").string()};
        const int code = run_and_show(noise, typed, o->run);
        const Noise found = record_noise(make_plan(noise));
        fmt::print("{} of {}: mean {:.4f}, sd {:.2g} over {} seeds (in {})\n", noise.metric,
                   printable_line(noise.baseline), found.mean, found.sd, found.n,
                   (out.parent_path() / "noise.json").string());
        if (code != 0) throw ExitWith{code};
    });
}

}  // namespace

void add_sweep_command(CLI::App& app) {
    CLI::App* sweep = app.add_subcommand(
        "sweep", "Many runs that answer one question: plan, run, watch, hand to other engines");
    sweep->footer(kSweepExamples);
    sweep->require_subcommand(1);
    add_plan(*sweep);
    add_sweep_run(*sweep);
    add_commands(*sweep);
    add_sbatch(*sweep);
    add_calibrate(*sweep);
    add_noise(*sweep);
    add_merge(*sweep);
}

}  // namespace plumb
