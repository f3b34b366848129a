#include "cli/train_command.h"

#include "cli/device_option.h"
#include "cli/dry_run.h"
#include "cli/exit_code.h"
#include "cli/stop_signals.h"
#include "cli/terminal.h"
#include "core/text.h"
#include "core/threads.h"
#include "run/attempts.h"
#include "run/run.h"
#include "run/run_settings.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>

namespace plumb {
namespace {

constexpr const char* kTrainExamples =
    R"(Settings are key=value; `plumb train --dry-run` lists them with their values.
Examples:
  plumb train data.task=markov train.steps=500 --out runs/markov
  plumb train -c experiments/dilution.toml mixer=attnres_block mixer.block_size=4 --out runs/a
  plumb train data.path=data/austen mixer=mhc model.layers=12 --out runs/b --resume auto
  plumb train --out runs/b --resume auto
  plumb train -c other.toml --init-from runs/b@best --out runs/c
)";

struct TrainOptions {
    std::string config, out, device = "cpu", precision, resume, init_from, lock = "flock", label;
    std::vector<std::string> overrides;
    int threads = 0;
    std::optional<long> seed, resume_from;
    bool retry_diverged = false;
    bool dry_run = false, plan = false, quiet = false;
};

std::string progress_text(const RunProgress& p) {
    std::string text = fmt::format("step {}/{} | loss {:.4f} | ", p.step, p.steps, p.loss);
    text += p.val_loss ? fmt::format("val {:.4f} | ", *p.val_loss) : std::string("val        | ");
    return text + fmt::format("gnorm {:.3f} | lr {:.2e} | {} tok/s | {:.0f}% of GEMM | ETA {}",
                              p.grad_norm, p.lr, thousands(static_cast<long long>(p.tok_per_s)),
                              100 * p.gemm_share, human_seconds(p.eta_s));
}

// What stdout answered when it took no more, 0 as long as it does: nobody reads it any longer
// (`plumb train ... | head`), or its disk is full. The run then ends as after Ctrl-C.
int output_error = 0;

template <class F>
void show(F&& print) {
    if (output_error != 0) return;
    errno = 0;
    int error = 0;
    try {
        print();
        std::fflush(stdout);
        error = std::ferror(stdout) ? errno : 0;
    } catch (const std::system_error& e) {
        error = e.code().value();
    }
    if (error == 0 && !std::ferror(stdout)) return;
    output_error = error != 0 ? error : EIO;
    stop_requested = true;
}

RunObserver make_observer(const TrainOptions& o, ProgressLine& line) {
    if (o.quiet) return {};
    RunObserver observer;
    observer.settings = [threads = choose_threads(o.threads)](const auto& rows) {
        show([&] {
            for (const auto& [key, value] : rows)
                std::printf("%-24s %s%s\n", key.c_str(), printable_line(value).c_str(),
                            key == "threads" ? fmt::format(" ({})", threads.from).c_str() : "");
        });
    };
    observer.progress = [&line](const RunProgress& p) {
        show([&] {
            line.update(static_cast<double>(p.step) / static_cast<double>(p.steps),
                        progress_text(p));
        });
    };
    observer.note = [&line](const std::string& text) { show([&] { line.note(text); }); };
    return observer;
}

[[noreturn]] void interrupted(const std::string& out) {
    const std::string go_on = fmt::format(
        "interrupted after a checkpoint; go on with: plumb train --out {} --resume auto",
        printable_line(shell_quoted(out)));
    const std::string cause = output_error != 0 ? fmt::format("cannot write the output: {}; ",
                                                              std::strerror(output_error))
                                                : "";
    if (output_error != 0 && output_error != EPIPE) throw IoError(cause + go_on);
    std::fprintf(stderr, "plumb: %s%s\n", cause.c_str(), go_on.c_str());
    throw ExitWith{kInterrupted};
}

ResumeOptions resume_of(const TrainOptions& o) {
    const std::string given = !o.resume.empty() ? o.resume : o.resume_from ? "must" : "never";
    const ResumeOptions resume{parse_resume(given), o.resume_from, o.retry_diverged};
    if (resume.resume == Resume::never && (o.resume_from || o.retry_diverged))
        throw UsageError(fmt::format("{} goes on with a run; it needs --resume auto",
                                     o.resume_from ? "--resume-from" : "--retry-diverged"));
    return resume;
}

void print_summary(const nlohmann::ordered_json& summary, const std::string& out) {
    for (const auto& [key, value] : summary.items())
        std::printf(
            "%s: %s\n", printable_line(key).c_str(),
            printable_line(value.is_string() ? value.get<std::string>() : value.dump()).c_str());
    const RunTimes times = run_times(out);
    std::printf("time_s: %.1f\ntok_per_s: %.0f\nrun: %s\n", times.seconds, times.tokens_per_s,
                printable_line(out).c_str());
}

std::vector<std::string> overrides_of(const TrainOptions& o) {
    std::vector<std::string> overrides = o.overrides;
    if (!o.precision.empty()) overrides.push_back("train.precision=" + o.precision);
    if (!o.init_from.empty()) overrides.push_back("train.init_from=" + o.init_from);
    if (o.seed) overrides.push_back(fmt::format("train.seed={}", *o.seed));
    if (!o.label.empty()) overrides.push_back("record.label=" + o.label);
    return overrides;
}

void train(const TrainOptions& o, const std::vector<std::string>& command_line) {
    const Context context = chosen_context(o.device, o.threads);
    const ResumeOptions resume = resume_of(o);
    const LoadedConfig loaded = load_run_settings(o.out, resume.resume, o.config, overrides_of(o));
    if (o.dry_run || o.plan) return print_dry_run(loaded, context, o.plan);
    if (o.out.empty())
        throw UsageError("where should the run go? Add --out DIR, for example --out runs/first");
    const RunOptions options{loaded.config,           o.out,   resume,
                             parse_lock_kind(o.lock), context, command_line};
    watch_signals();
    ProgressLine line(stdout, Terminal::of(stdout));
    const RunResult result = run_training(options, make_observer(o, line), stop_requested);
    show([&] {
        line.finish();
        if (result.outcome == RunOutcome::already_done)
            std::printf("%s is done already; nothing to do\n", printable_line(o.out).c_str());
        if (result.outcome == RunOutcome::already_diverged)
            std::printf(
                "%s has diverged already; --retry-diverged goes on from its last "
                "checkpoint\n",
                printable_line(o.out).c_str());
        print_summary(result.summary, o.out);
    });
    if (result.outcome == RunOutcome::interrupted) interrupted(o.out);
    if (output_error != 0)
        throw IoError(fmt::format("cannot write the output: {}; the run is done, see {}",
                                  std::strerror(output_error), o.out + "/summary.json"));
    if (result.outcome == RunOutcome::already_diverged) throw ExitWith{kDiverged};
}

}  // namespace

void add_train_command(CLI::App& app) {
    auto o = std::make_shared<TrainOptions>();
    CLI::App* cmd = app.add_subcommand("train", "train a model and record what depth does");
    cmd->add_option("-c,--config", o->config, "TOML file with settings")->type_name("FILE");
    cmd->add_option("settings", o->overrides, "key=value, e.g. mixer=mhc model.layers=12");
    cmd->add_option("-o,--out", o->out, "folder of the run")->type_name("DIR");
    add_device_option(*cmd, o->device);
    cmd->add_option("--precision", o->precision, "same as train.precision=X")
        ->type_name("fp32|bf16");
    cmd->add_option("--threads", o->threads,
                    "threads (default: OMP_NUM_THREADS, SLURM_CPUS_PER_TASK or all cores)")
        ->check(CLI::Range(1, 1024));
    cmd->add_option("--seed", o->seed, "same as train.seed=N");
    cmd->add_option("--label", o->label, "name of the run in tables, same as record.label=TEXT");
    cmd->add_option("--resume", o->resume, "auto: continue if there is a run, with its settings")
        ->type_name("auto|never|must");
    cmd->add_option("--resume-from", o->resume_from,
                    "go on from the checkpoint of this step and write what came after it again; 0: "
                    "the start");
    cmd->add_flag("--retry-diverged", o->retry_diverged,
                  "with --resume: go on with a run that has diverged");
    cmd->add_option("--lock", o->lock,
                    "how other processes are kept out; lease: on file systems without locks")
        ->type_name("flock|lease");
    cmd->add_option(
           "--init-from", o->init_from,
           "start from the weights of RUN, RUN@STEP or RUN@best, of any mixer, with a fresh "
           "optimizer; mixer parameters that RUN has not keep their own start")
        ->type_name("RUN");
    cmd->add_flag("--dry-run", o->dry_run,
                  "print settings, parameters, memory and time, then stop");
    cmd->add_flag("--plan", o->plan, "like --dry-run, with every tensor by name");
    cmd->add_flag("--quiet", o->quiet, "print the summary only");
    cmd->footer(kTrainExamples);
    cmd->callback([o, cmd] {
        std::vector<std::string> command_line{"plumb", "train"};
        for (const CLI::Option* option : cmd->parse_order())
            if (option->get_name().starts_with("-")) {
                command_line.push_back(option->get_name());
                for (const std::string& r : option->results()) command_line.push_back(r);
            }
        for (const std::string& setting : o->overrides) command_line.push_back(setting);
        train(*o, command_line);
    });
}

}  // namespace plumb
