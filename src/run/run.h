// A training run from config to summary: data, model, loop, probes, checkpoints, resume.
#pragma once

#include "run/run_directory.h"
#include "run/run_lock.h"
#include "train/trainer.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace plumb {

struct RunOptions {
    Config config;
    std::filesystem::path out;
    ResumeOptions resume;
    LockKind lock = LockKind::flock;
    Context context;
    std::vector<std::string> command_line;
};

struct RunProgress {
    long step, steps;
    double loss, grad_norm, lr;
    std::optional<double> val_loss;
    double tok_per_s;
    double gemm_share;  // of the GEMM rate of its precision, measured at the start of the run
    double eta_s;
};

// What the caller shows of a run; every member may be empty.
struct RunObserver {
    std::function<void(const std::vector<std::pair<std::string, std::string>>&)> settings;
    std::function<void(const RunProgress&)> progress;
    std::function<void(const std::string&)> note;
};

enum class RunOutcome : std::uint8_t { done, already_done, already_diverged, interrupted };

struct RunResult {
    RunOutcome outcome;
    nlohmann::ordered_json summary;
};

// Runs, or resumes. `stop`, set by a signal, ends the run with a checkpoint after the micro-batch
// at hand. Throws RunBusy if another process writes the folder, UsageError, IoError, or Diverged
// (the run's folder then says so and keeps the last good checkpoint).
RunResult run_training(const RunOptions& options, const RunObserver& observer,
                       const StopFlag& stop);

// What a run would need and do, without running it.
struct RunPlan {
    std::unique_ptr<Dataset> data;
    std::unique_ptr<Trainer> trainer;  // declared, not allocated
    double flops_per_token = 0;
    Index params = 0, mixer_params = 0;
};
RunPlan plan_run(const Config& config, const Context& context);

// FLOP/s of a matrix product of this model's size in the run's precision, measured for `seconds`;
// or what this variable of the environment says. No number of a run depends on it.
inline constexpr const char* kGemmRateVariable = "PLUMB_GEMM_RATE";
double training_gemm_rate(const Context& ctx, const Config& config, double seconds);

}  // namespace plumb
