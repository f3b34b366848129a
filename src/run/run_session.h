// One session of a run, in the process that holds its lock. Internal to run/; callers have
// run_training (run/run.h).
#pragma once

#include "run/attempts.h"
#include "run/remaining_time.h"
#include "run/run.h"
#include "run/run_log.h"
#include "run/run_state.h"

namespace plumb {

// From the start or a checkpoint to the end, an interrupt or a failure.
class Session {
public:
    Session(const RunOptions& options, const RunObserver& observer, RunPlan plan, RunStart start,
            RunLock& lock)
        : options_(options),
          config_(options.config),
          observer_(observer),
          plan_(std::move(plan)),
          trainer_(*plan_.trainer),
          start_(std::move(start)),
          lock_(lock) {}

    RunResult run(const StopFlag& stop);

private:
    void open();
    void restore_or_explain();
    bool ended() const;
    void train_loop(const StopFlag& stop);
    double validation_loss();
    std::optional<Evaluation> score(const Dataset& data, const std::string& name,
                                    const StopFlag& stop);
    bool score_splits(const StopFlag& stop);
    double seconds_left(double tokens_per_s) const;
    void evaluate_and_log(std::optional<StepResult> result, bool evaluate);
    void remember_parameters();
    void probe();
    RunState state() const;
    void checkpoint();
    void keep_best();
    nlohmann::ordered_json summary(const std::string& status) const;
    void finish(const std::string& status, int exit, const std::string& why);
    void fail(const std::exception& e);
    std::vector<std::pair<std::string, std::string>> settings() const;
    nlohmann::ordered_json start_from_weights();

    const RunOptions& options_;
    const Config& config_;
    const RunObserver& observer_;
    RunPlan plan_;
    Trainer& trainer_;
    RunStart start_;
    RunLock& lock_;
    std::optional<RunLog> log_;
    std::optional<Attempt> attempt_;
    double gemm_rate_ = 0;
    std::vector<float> before_;  // parameters before the last step; empty unless it is probed
    std::string fingerprint_;    // of the data

    long step_ = 0;  // completed
    double best_loss_ = 0, last_loss_ = 0;
    long best_step_ = -1, last_eval_ = -1;
    std::optional<Evaluation> split_, test_split_;  // of the finished run
    long saved_step_ = -1;                          // of the newest checkpoint
    MeanTime validation_time_, probe_time_;
    double time_s_ = 0;       // in training steps, of this session
    double logged_time_ = 0;  // time_s_ and step_ at the last line of metrics.jsonl
    long logged_step_ = 0;
};

}  // namespace plumb
