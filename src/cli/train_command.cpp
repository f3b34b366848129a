#include "cli/train_command.h"

#include "cli/dry_run.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"
#include "core/text.h"
#include "experiment/run.h"

#include <omp.h>
#include <signal.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

namespace plumb {
namespace {

constexpr const char* kExamples =
    R"(Settings are key=value; `plumb train --dry-run` lists them with their values.
Examples:
  plumb train data.task=markov train.steps=500 --out runs/markov
  plumb train -c experiments/dilution.toml mixer=attnres_block mixer.block_size=4 --out runs/a
  plumb train data.path=data/austen mixer=mhc model.layers=12 --out runs/b --resume auto
)";

struct Options {
    std::string config, out, device = "cpu", precision, resume = "never";
    std::vector<std::string> overrides;
    int threads = 0;
    std::optional<long> seed;
    bool dry_run = false, plan = false, quiet = false;
};

std::atomic<bool> stop_requested{false};

// Waits for Ctrl-C or SIGTERM on a thread of its own. The first: finish the step and write a
// checkpoint. The second: end at once. Compute threads never run a handler: with one, an interrupt
// amid oneDNN 2.6's generated code corrupted memory about every second time (measured, AVX-512).
// Call before the first parallel region, whose threads inherit the blocked signals.
void watch_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread([signals] {
        int received = 0;
        sigwait(&signals, &received);
        stop_requested = true;
        sigwait(&signals, &received);
        std::_Exit(kInterrupted);
    }).detach();
}

std::string progress_text(const RunProgress& p) {
    std::string text = fmt::format("step {}/{} | loss {:.4f} | ", p.step, p.steps, p.loss);
    text += p.val_loss ? fmt::format("val {:.4f} | ", *p.val_loss) : std::string("val        | ");
    return text + fmt::format("gnorm {:.3f} | lr {:.2e} | {} tok/s | {:.0f}% of GEMM | ETA {}",
                              p.grad_norm, p.lr, thousands(static_cast<long long>(p.tok_per_s)),
                              100 * p.gemm_share, human_seconds(p.eta_s));
}

RunObserver make_observer(bool quiet, ProgressLine& line) {
    if (quiet) return {};
    RunObserver observer;
    observer.settings = [](const auto& rows) {
        for (const auto& [key, value] : rows) std::printf("%-24s %s\n", key.c_str(), value.c_str());
        std::fflush(stdout);
    };
    observer.progress = [&line](const RunProgress& p) {
        line.update(static_cast<double>(p.step) / static_cast<double>(p.steps), progress_text(p));
    };
    observer.note = [&line](const std::string& text) { line.note(text); };
    return observer;
}

void print_summary(const nlohmann::ordered_json& summary, const std::string& out) {
    for (const auto& [key, value] : summary.items())
        std::printf("%s: %s\n", key.c_str(),
                    value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
    std::printf("run: %s\n", out.c_str());
}

std::vector<std::string> overrides_of(const Options& o) {
    std::vector<std::string> overrides = o.overrides;
    if (!o.precision.empty()) overrides.push_back("train.precision=" + o.precision);
    if (o.seed) overrides.push_back(fmt::format("train.seed={}", *o.seed));
    return overrides;
}

Context make_context(const Options& o) {
    if (o.device != "cpu")
        throw UsageError(
            fmt::format("--device {}: this version computes on the CPU only", o.device));
    return {Device::cpu, o.threads > 0 ? o.threads : omp_get_num_procs()};
}

void train(const Options& o, const std::vector<std::string>& command_line) {
    const Context context = make_context(o);
    const LoadedConfig loaded = load_config(o.config, overrides_of(o));
    if (o.dry_run || o.plan) return print_dry_run(loaded, context, o.plan);
    if (o.out.empty())
        throw UsageError("where should the run go? Add --out DIR, for example --out runs/first");
    const RunOptions options{loaded.config, o.out, parse_resume(o.resume), context, command_line};
    watch_signals();
    ProgressLine line(stdout, Terminal::of(stdout));
    const RunResult result = run_training(options, make_observer(o.quiet, line), stop_requested);
    line.finish();
    if (result.outcome == RunOutcome::already_done)
        std::printf("%s is done already; nothing to do\n", o.out.c_str());
    print_summary(result.summary, o.out);
    if (result.outcome == RunOutcome::interrupted) {
        std::fprintf(stderr,
                     "plumb: interrupted after a checkpoint; go on with the same command and "
                     "--resume auto\n");
        throw ExitWith{kInterrupted};
    }
}

}  // namespace

void add_train_command(CLI::App& app) {
    auto o = std::make_shared<Options>();
    CLI::App* cmd = app.add_subcommand("train", "train a model and record what depth does");
    cmd->add_option("-c,--config", o->config, "TOML file with settings");
    cmd->add_option("settings", o->overrides, "key=value, e.g. mixer=mhc model.layers=12");
    cmd->add_option("-o,--out", o->out, "folder of the run");
    cmd->add_option("--device", o->device, "cpu");
    cmd->add_option("--precision", o->precision, "fp32 or bf16, same as train.precision=X");
    cmd->add_option("--threads", o->threads, "threads (default: all cores)")
        ->check(CLI::Range(1, 1024));
    cmd->add_option("--seed", o->seed, "same as train.seed=N");
    cmd->add_option("--resume", o->resume, "auto: continue if there is a run; never; must");
    cmd->add_flag("--dry-run", o->dry_run,
                  "print settings, parameters, memory and time, then stop");
    cmd->add_flag("--plan", o->plan, "like --dry-run, with every tensor by name");
    cmd->add_flag("--quiet", o->quiet, "print the summary only");
    cmd->footer(kExamples);
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
