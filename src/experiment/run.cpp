#include "experiment/run.h"

#include "core/files.h"
#include "core/text.h"
#include "experiment/manifest.h"
#include "experiment/run_log.h"
#include "ops/gemm_rate.h"
#include "train/checkpoint.h"

#include <chrono>
#include <cmath>
#include <numbers>

namespace plumb {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Index kMatrixSamples = 8;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// One session of a run: from the start or a checkpoint to the end, an interrupt or a failure.
class Session {
public:
    Session(const RunOptions& options, const RunObserver& observer, RunPlan plan, RunStart start)
        : options_(options),
          config_(options.config),
          observer_(observer),
          plan_(std::move(plan)),
          trainer_(*plan_.trainer),
          start_(std::move(start)) {}

    RunResult run(const std::atomic<bool>& stop);

private:
    void open();
    void restore();
    void restore_or_explain();
    bool ended() const;
    void train_loop(const std::atomic<bool>& stop);
    double validation_loss();
    void evaluate_and_log(std::optional<StepResult> result, bool evaluate);
    void probe();
    void checkpoint();
    nlohmann::ordered_json summary(const std::string& status) const;
    void finish(const std::string& status);
    std::vector<std::pair<std::string, std::string>> settings() const;
    std::vector<TensorRef> model_tensors(int moment);

    const RunOptions& options_;
    const Config& config_;
    const RunObserver& observer_;
    RunPlan plan_;
    Trainer& trainer_;
    RunStart start_;
    std::optional<RunLog> log_;
    double gemm_rate_ = 0;
    std::string fingerprint_;  // of the data

    long step_ = 0;  // completed
    double best_loss_ = 0, last_loss_ = 0;
    long best_step_ = -1, last_eval_ = -1;
    double time_s_ = 0;       // in training steps, all sessions
    double logged_time_ = 0;  // time_s_ and step_ at the last line of metrics.jsonl
    long logged_step_ = 0;
};

std::vector<TensorRef> Session::model_tensors(int moment) {
    std::vector<TensorRef> tensors;
    ParamStore<float>& params = trainer_.model().params();
    for (Index i = 0; i < std::ssize(params.specs()); ++i) {
        const std::string& name = params.specs()[static_cast<std::size_t>(i)].name;
        if (moment < 0) {
            tensors.push_back(TensorRef::of(name, params.value({i})));
        } else {
            const std::string prefix = moment == 0 ? "m." : "v.";
            tensors.push_back(TensorRef::of(prefix + name, trainer_.moment({i}, moment)));
        }
    }
    return tensors;
}

std::vector<TensorTarget> as_targets(const std::vector<TensorRef>& refs) {
    std::vector<TensorTarget> targets;
    for (const TensorRef& r : refs)
        targets.push_back({r.name, r.dtype, r.shape, const_cast<void*>(r.data)});
    return targets;
}

void Session::restore() {
    const Checkpoint c = load_checkpoint(*start_.checkpoint);
    std::vector<TensorRef> moments = model_tensors(0);
    for (TensorRef& r : model_tensors(1)) moments.push_back(std::move(r));
    restore_tensors(c.model, as_targets(model_tensors(-1)));
    restore_tensors(c.optimizer, as_targets(moments));
    if (c.state.at("data") != fingerprint_)
        throw UsageError(
            fmt::format("{}: was trained on other data than {}; give the same data.path",
                        start_.checkpoint->string(), plan_.data->describe()));
    step_ = c.state.at("step");
    best_loss_ = c.state.at("best_val_loss");
    best_step_ = c.state.at("best_step");
    last_loss_ = c.state.at("last_val_loss");
    last_eval_ = c.state.at("last_eval");
}

void Session::restore_or_explain() {
    const auto explain = [&](const std::string& what) {
        return fmt::format(
            "{}. Nothing was written; remove {} to go on from the checkpoint before it", what,
            start_.checkpoint->string());
    };
    try {
        restore();
        trainer_.check_parameters(step_);
    } catch (const Diverged& e) {
        throw Diverged(explain(e.what()));
    } catch (const IoError& e) {
        throw IoError(explain(e.what()));
    } catch (const nlohmann::json::exception& e) {
        const std::string file = (*start_.checkpoint / "state.json").string();
        throw IoError(explain(fmt::format("{}: {}", file, e.what())));
    }
}

// Everything in `state` follows from config, data and step: same run, same bytes.
void Session::checkpoint() {
    trainer_.check_parameters(step_);
    log_->flush();
    std::vector<TensorRef> moments = model_tensors(0);
    for (TensorRef& r : model_tensors(1)) moments.push_back(std::move(r));
    const nlohmann::json state{{"step", step_},
                               {"tokens", step_ * trainer_.tokens_per_step()},
                               {"mixer", config_.mixer.name},
                               {"seed", config_.train.seed},
                               {"data", fingerprint_},
                               {"best_val_loss", best_loss_},
                               {"best_step", best_step_},
                               {"last_val_loss", last_loss_},
                               {"last_eval", last_eval_}};
    save_checkpoint(options_.out, step_, model_tensors(-1), moments, state,
                    config_.train.keep_checkpoints);
}

double Session::validation_loss() {
    const double loss = trainer_.evaluate(options_.context);
    if (std::isfinite(loss)) return loss;
    trainer_.check_parameters(step_);
    throw Diverged(fmt::format("step {}: the validation loss is {}", step_, loss));
}

void Session::evaluate_and_log(std::optional<StepResult> result, bool evaluate) {
    MetricsLine line{
        .step = step_, .tokens = step_ * trainer_.tokens_per_step(), .time_s = time_s_};
    if (result) {
        line.train_loss = result->loss;
        line.lr = result->lr;
        line.grad_norm = result->grad_norm;
        line.tok_per_s = static_cast<double>((step_ - logged_step_) * trainer_.tokens_per_step()) /
                         (time_s_ - logged_time_);
    }
    if (evaluate) {
        last_loss_ = validation_loss();
        last_eval_ = step_;
        if (best_step_ < 0 || last_loss_ < best_loss_) best_loss_ = last_loss_, best_step_ = step_;
        line.val_loss = last_loss_;
        if (const double bytes = plan_.data->bytes_per_token(); bytes > 0)
            line.val_bpb = last_loss_ / std::numbers::ln2 / bytes;
    }
    log_->metrics(line);
    logged_step_ = step_;
    logged_time_ = time_s_;
    if (!observer_.progress || !result) return;
    const double left =
        static_cast<double>((config_.train.steps - step_) * trainer_.tokens_per_step());
    observer_.progress({step_, config_.train.steps, result->loss, result->grad_norm, result->lr,
                        line.val_loss, *line.tok_per_s,
                        *line.tok_per_s * plan_.flops_per_token / gemm_rate_,
                        left / *line.tok_per_s});
}

void Session::probe() {
    Model<float>& model = trainer_.model();
    DepthProbe<float> probe(model.sublayers(), model.tokens().count(), model.config().width);
    trainer_.probe(options_.context, probe);
    for (DepthRecord& r : probe.records()) {
        std::vector<View<const float>> grads;
        for (const ParamId id : model.weights_at(r.depth)) grads.push_back(model.params().grad(id));
        r.gradients = summarise_gradients(grads);
    }
    log_->depth(step_, probe.records());
    log_->matrix(step_, config_.mixer.name, summarise_matrix(model.mixer(), kMatrixSamples));
}

// After the last step, or when patience is at its end: a function of what a checkpoint keeps.
bool Session::ended() const {
    const TrainConfig& t = config_.train;
    const bool impatient = t.patience > 0 && last_eval_ == step_ &&
                           step_ - best_step_ >= t.patience * t.eval_every;
    return step_ == t.steps || impatient;
}

void Session::train_loop(const std::atomic<bool>& stop) {
    const TrainConfig& t = config_.train;
    const auto due = [&](long every) { return every > 0 && step_ % every == 0; };
    if (step_ == 0) {
        evaluate_and_log({}, true);
        if (config_.record.probe_every > 0) probe();
    }
    while (!ended()) {
        const auto before = Clock::now();
        const StepResult result = trainer_.step(options_.context, step_);
        time_s_ += seconds_since(before);
        ++step_;
        const bool evaluate = step_ == t.steps || due(t.eval_every);
        if (evaluate || due(t.log_every)) evaluate_and_log(result, evaluate);
        const bool last = ended();
        if (due(config_.record.probe_every) || (last && config_.record.probe_every > 0)) probe();
        const bool stopping = stop.load() && !last;
        if (last || stopping || due(t.checkpoint_every)) checkpoint();
        if (stopping) return;
    }
}

nlohmann::ordered_json Session::summary(const std::string& status) const {
    const double tokens = static_cast<double>(step_ * trainer_.tokens_per_step());
    nlohmann::ordered_json json{{"schema", 1},
                                {"mixer", config_.mixer.name},
                                {"label", run_label(config_.mixer)},
                                {"seed", config_.train.seed},
                                {"status", status},
                                {"steps", step_},
                                {"tokens", step_ * trainer_.tokens_per_step()},
                                {"params", plan_.params},
                                {"mixer_params", plan_.mixer_params},
                                {"time_s", time_s_},
                                {"tok_per_s", time_s_ > 0 ? tokens / time_s_ : 0.0}};
    if (last_eval_ >= 0) {
        json["final_val_loss"] = last_loss_;
        json["best_val_loss"] = best_loss_;
        json["best_step"] = best_step_;
        if (const double bytes = plan_.data->bytes_per_token(); bytes > 0)
            json["final_val_bpb"] = last_loss_ / std::numbers::ln2 / bytes;
    }
    if (const auto optimum = plan_.data->optimal_loss()) json["optimal_loss"] = *optimum;
    return json;
}

void Session::finish(const std::string& status) {
    log_->flush();
    write_file(options_.out / "summary.json", summary(status).dump(2) + "\n");
    write_status(options_.out, status);
}

std::vector<std::pair<std::string, std::string>> Session::settings() const {
    const Index per_step = trainer_.tokens_per_step();
    std::vector<std::pair<std::string, std::string>> rows = values(config_);
    rows.emplace_back("data", plan_.data->describe());
    if (const auto optimum = plan_.data->optimal_loss())
        rows.emplace_back("optimal loss", fmt::format("{:.6f} nats", *optimum));
    rows.emplace_back("parameters", fmt::format("{} ({} of the mixer)", thousands(plan_.params),
                                                thousands(plan_.mixer_params)));
    rows.emplace_back("tokens",
                      fmt::format("{} ({} a step)", thousands(per_step * config_.train.steps),
                                  thousands(per_step)));
    rows.emplace_back("memory", human_bytes(trainer_.planned_bytes()));
    rows.emplace_back("threads", std::to_string(options_.context.threads));
    rows.emplace_back("GEMM rate", fmt::format("{:.0f} GFLOP/s", gemm_rate_ / 1e9));
    rows.emplace_back("run", options_.out.string());
    return rows;
}

void Session::open() {
    set_up_threads(options_.context);
    gemm_rate_ = training_gemm_rate(options_.context, config_, 0.1);
    trainer_.allocate();
    fingerprint_ = plan_.data->fingerprint();
    if (start_.checkpoint) restore_or_explain();
    create_run_directory(options_.out, config_,
                         make_manifest({options_.command_line, device_name(options_.context.device),
                                        config_.train.precision, options_.context.threads, config_.train.seed,
                                        plan_.data->describe(), fingerprint_}));
    // Without a checkpoint the run starts again, and so do its lines.
    const long kept = start_.checkpoint ? step_ : -1;
    log_.emplace(options_.out, start_.continues ? std::optional<long>(kept) : std::nullopt,
                 config_.record.tensorboard);
    time_s_ = logged_time_ = log_->earlier_time();
    logged_step_ = step_;
    if (observer_.settings) observer_.settings(settings());
    if (observer_.note && step_ > 0)
        observer_.note(fmt::format("resumed {} at step {}", options_.out.string(), step_));
}

RunResult Session::run(const std::atomic<bool>& stop) {
    open();
    try {
        train_loop(stop);
    } catch (const Diverged& e) {
        finish("diverged");
        const auto kept = newest_checkpoint(options_.out);
        throw Diverged(fmt::format("{}. {}", e.what(),
                                   kept ? "The last good checkpoint is " + kept->string()
                                        : "No checkpoint had been written yet"));
    } catch (const std::exception&) {
        try {
            write_status(options_.out, "failed");
        } catch (const IoError&) {  // the disk that failed the run; its message is the one to show
        }
        throw;
    }
    const bool done = ended();
    const std::string status = done ? "done" : "interrupted";
    finish(status);
    return {done ? RunOutcome::done : RunOutcome::interrupted, summary(status)};
}

}  // namespace

double training_gemm_rate(const Context& ctx, const Config& config, double seconds) {
    const ModelConfig m = config.model.resolved();
    const Index n = config.train.batch * m.context;
    return config.train.precision == "bf16"
               ? measure_gemm_rate<Bf16>(ctx, n, 4 * m.width, m.width, seconds)
               : measure_gemm_rate(ctx, n, 4 * m.width, m.width, seconds);
}

RunPlan plan_run(const Config& config, const Context& context) {
    require_data(config);
    RunPlan plan;
    plan.data = open_dataset(config.data, config.model.resolved().context);
    plan.trainer =
        std::make_unique<Trainer>(TransformerShape{config.model, config.mixer, plan.data->vocab(),
                                                   config.train.batch, context.threads},
                                  config.train, *plan.data);
    const Model<float>& model = plan.trainer->model();
    plan.params = model.params().n_params();
    plan.mixer_params = model.params().n_params(Group::mixer);
    plan.flops_per_token =
        train_flops_per_token(model.config(), plan.data->vocab(), plan.mixer_params);
    return plan;
}

RunResult run_training(const RunOptions& options, const RunObserver& observer,
                       const std::atomic<bool>& stop) {
    RunStart start = inspect_run_directory(options.out, options.resume, options.config);
    if (start.already_done)
        return {RunOutcome::already_done,
                nlohmann::ordered_json::parse(read_file(options.out / "summary.json"))};
    RunPlan plan = plan_run(options.config, options.context);
    return Session(options, observer, std::move(plan), std::move(start)).run(stop);
}

}  // namespace plumb
