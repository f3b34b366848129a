#include "run/run_session.h"

#include "config/numerics.h"
#include "core/clock.h"
#include "core/exit_code.h"
#include "core/files.h"
#include "core/text.h"
#include "data/token_files.h"
#include "mixers/parameter_kind.h"
#include "record/parameters.h"
#include "record/probes.h"
#include "run/manifest.h"
#include "run/run_text.h"
#include "run/warnings.h"
#include "train/checkpoint.h"

#include <cmath>
#include <set>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr Index kMatrixSamples = 8;

// "25 mixer parameters (key_gain, query)" of their names.
std::string counted_by_kind(const std::vector<std::string>& mixer_parameters) {
    std::set<std::string> kinds;
    for (const std::string& name : mixer_parameters) kinds.insert(parameter_kind(name));
    return fmt::format("{} mixer parameters ({})", mixer_parameters.size(), fmt::join(kinds, ", "));
}

}  // namespace

void Session::restore_or_explain() {
    const fs::path& checkpoint = *start_.checkpoint;
    try {
        const RunState s = load_run_state(checkpoint, trainer_, {config_, fingerprint_});
        step_ = saved_step_ = s.step;
        best_loss_ = s.best_loss, best_step_ = s.best_step;
        last_loss_ = s.last_loss, last_eval_ = s.last_eval;
    } catch (const IoError& e) {
        const long here = checkpoint_step(checkpoint);
        long before = 0;
        for (const auto& [step, path] : whole_checkpoints(options_.out))
            if (step < here) before = std::max(before, static_cast<long>(step));
        throw IoError(fmt::format("{}. Nothing was written; --resume-from {} goes on from {}",
                                  e.what(), before,
                                  before > 0 ? "the checkpoint before it"
                                             : "the start, as no other checkpoint is there"));
    }
}

RunState Session::state() const { return {step_, best_loss_, last_loss_, best_step_, last_eval_}; }

void Session::checkpoint() {
    lock_.check();
    log_->flush();
    attempt_->save_times(step_, time_s_);
    save_run_state(options_.out, state(), trainer_, {config_, fingerprint_});
    saved_step_ = step_;
}

void Session::keep_best() {
    if (!config_.train.keep_best || last_eval_ != step_ || best_step_ != step_) return;
    lock_.check();
    save_best_weights(options_.out, state(), trainer_, {config_, fingerprint_});
}

// The loss on the whole of a split; nothing if a stop came first.
std::optional<Evaluation> Session::score(const Dataset& data, const std::string& name,
                                         const StopFlag& stop) {
    if (observer_.note)
        observer_.note(fmt::format("scoring the whole {} split: {} sequences", name,
                                   thousands(data.val_sequences())));
    try {
        const Evaluation e = trainer_.evaluate_split(options_.context, &stop, &data);
        if (!std::isfinite(e.loss))
            trainer_.diverged(options_.context, step_,
                              fmt::format("the loss on the whole {} split", name), e.loss);
        return e;
    } catch (const Stopped&) {
        return std::nullopt;
    }
}

// The finished run's losses on the whole validation split, and on the test split where the data
// have one; false if a stop came first: the checkpoint of the last step is there, and a resume does
// only this.
bool Session::score_splits(const StopFlag& stop) {
    split_ = score(*plan_.data, "validation", stop);
    if (!split_) return false;
    if (!has_test_split(config_.data)) return true;
    const auto test = open_dataset(config_.data, config_.model.resolved().context, EvalSplit::test);
    test_split_ = score(*test, "test", stop);
    return test_split_.has_value();
}

double Session::validation_loss() {
    double loss = 0;
    validation_time_.measure([&] { loss = trainer_.evaluate(options_.context); });
    if (!std::isfinite(loss))
        trainer_.diverged(options_.context, step_, "the validation loss", loss);
    return loss;
}

void Session::evaluate_and_log(std::optional<StepResult> result, bool evaluate) {
    MetricsLine line{.step = step_, .tokens = step_ * trainer_.tokens_per_step()};
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
        line.val_bpb = bits_per_byte(*plan_.data, last_loss_);
    }
    lock_.check();
    log_->metrics(line);
    logged_step_ = step_;
    logged_time_ = time_s_;
    if (!observer_.progress || !result) return;
    observer_.progress({step_, config_.train.steps, result->loss, result->grad_norm, result->lr,
                        line.val_loss, line.tok_per_s,
                        line.tok_per_s * plan_.flops_per_token / gemm_rate_,
                        seconds_left(line.tok_per_s)});
}

double Session::seconds_left(double tokens_per_s) const {
    const double validation = validation_time_.mean();
    const auto sequences = static_cast<double>(
        std::min<Index>(config_.train.eval_sequences, plan_.data->val_sequences()));
    return remaining_seconds(
        config_.train, config_.record, step_,
        {static_cast<double>(trainer_.tokens_per_step()) / tokens_per_s, validation,
         probe_time_.mean(),
         validation * static_cast<double>(plan_.data->val_sequences()) / sequences});
}

void Session::probe() {
    Model<float>& model = trainer_.model();
    DepthProbe<float> probe(model.mixer(), kMatrixSamples);
    trainer_.probe(options_.context, config_.record.probe_sequences, probe,
                   [&](Index tokens) { probe.begin_pass(tokens); });
    std::vector<DepthRecord> records = probe.records();
    for (DepthRecord& r : records)
        add_parameter_figures<float>(model.params(), model.layout(), model.weights_at(r.depth),
                                     before_, r);
    log_->depth(step_, records);
    log_->matrix(step_, config_.mixer.name, model.config().layers, probe.matrices());
}

// The next step ends with a probe, or may: a copy of the parameters gives its update.
void Session::remember_parameters() {
    const long every = config_.record.probe_every, next = step_ + 1;
    const TrainConfig& t = config_.train;
    const bool may_end = next == t.steps || (t.patience > 0 && next % t.eval_every == 0);
    if (every > 0 && (next % every == 0 || may_end))
        before_ = trainer_.model().params().values();
    else
        before_.clear();
}

// After the last step, or when patience is at its end: a function of what a checkpoint keeps.
bool Session::ended() const {
    const TrainConfig& t = config_.train;
    const bool impatient =
        t.patience > 0 && last_eval_ == step_ && step_ - best_step_ >= t.patience * t.eval_every;
    return step_ >= t.steps || impatient;
}

void Session::train_loop(const StopFlag& stop) {
    const TrainConfig& t = config_.train;
    const auto due = [&](long every) { return every > 0 && step_ % every == 0; };
    if (step_ == 0 && !start_.checkpoint) {
        evaluate_and_log({}, true);
        keep_best();
        if (config_.record.probe_every > 0) probe_time_.measure([&] { probe(); });
        if (!config_.train.init_from.empty()) checkpoint();  // from here on the run stands alone
    }
    while (!ended()) {
        remember_parameters();
        const auto before = Clock::now();
        StepResult result{};
        try {
            result = trainer_.step(options_.context, step_, &stop);
        } catch (const Stopped&) {  // between micro-batches: the step is made again from its start
            if (saved_step_ != step_) checkpoint();
            return;
        }
        time_s_ += seconds_since(before);
        ++step_;
        const bool evaluate = step_ == t.steps || due(t.eval_every);
        if (evaluate || due(t.log_every)) evaluate_and_log(result, evaluate);
        const bool last = ended();
        if (due(config_.record.probe_every) || (last && config_.record.probe_every > 0))
            probe_time_.measure([&] { probe(); });
        const bool stopping = stop.load() && !last;
        if (evaluate) keep_best();
        if (last || stopping || due(t.checkpoint_every)) checkpoint();
        if (stopping) return;
    }
}

nlohmann::ordered_json Session::summary(const std::string& status) const {
    nlohmann::ordered_json json{{"schema", 2},
                                {"mixer", config_.mixer.name},
                                {"label", run_label(config_)},
                                {"seed", config_.train.seed},
                                {"status", status},
                                {"steps", step_},
                                {"tokens", step_ * trainer_.tokens_per_step()},
                                {"params", plan_.params},
                                {"mixer_params", plan_.mixer_params},
                                {"flops_per_token", plan_.flops_per_token}};
    if (split_) {
        json["final_val_loss"] = split_->loss;
        if (const auto bpb = bits_per_byte(*plan_.data, split_->loss)) json["final_val_bpb"] = *bpb;
        json["whole_split"] = true;
        json["final_val_tokens"] = split_->tokens;
    }
    if (test_split_) {
        json["final_test_loss"] = test_split_->loss;
        json["final_test_tokens"] = test_split_->tokens;
    }
    if (last_eval_ >= 0 && status != "diverged") {
        json["last_val_loss"] = last_loss_;
        json["best_val_loss"] = best_loss_;
        json["best_step"] = best_step_;
    }
    if (const auto optimum = plan_.data->optimal_loss()) json["optimal_loss"] = *optimum;
    return json;
}

void Session::finish(const std::string& status, int exit, const std::string& why) {
    log_->flush();
    attempt_->save_times(step_, time_s_);
    write_file(options_.out / "summary.json", summary(status).dump(2) + "\n");
    // Before the status: nobody comes to a run that has ended to add the line of a killed one.
    attempt_->end(step_, exit, why);
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

// What the manifest says of the weights that this run starts from.
nlohmann::ordered_json Session::start_from_weights() {
    const CheckpointName name = parse_checkpoint_name(config_.train.init_from);
    const ModelCheckpoint checkpoint = load_model(name);
    const LoadedWeights loaded = load_weights(checkpoint, trainer_);
    if (observer_.note && !loaded.own.empty())
        observer_.note(fmt::format("--init-from: {} of {} are not in {}: they keep their own start",
                                   counted_by_kind(loaded.own), config_.mixer.name, name.text()));
    if (observer_.note && !loaded.left_out.empty())
        observer_.note(fmt::format("--init-from: {} of {} have no place in {}: they are left out",
                                   counted_by_kind(loaded.left_out), name.text(),
                                   config_.mixer.name));
    return {{"run", name.run.string()},
            {"step", checkpoint.step()},
            {"model_sha256", loaded.sha256},
            {"own_start", loaded.own},
            {"left_out", loaded.left_out}};
}

void Session::open() {
    set_up_threads(options_.context);
    gemm_rate_ = training_gemm_rate(options_.context, config_, 0.1);
    trainer_.allocate();
    fingerprint_ = plan_.data->fingerprint();
    const std::string device = device_name(options_.context.device);
    ManifestInputs made{options_.command_line,
                        device,
                        config_.train.precision,
                        options_.context.threads,
                        config_.train.seed,
                        plan_.data->describe(),
                        fingerprint_};
    made.numerics = numerics(config_);
    const TrainConfig& t = config_.train;
    made.seeds = {{"init", t.init_seed()}, {"data", t.data_seed()}, {"dropout", t.dropout_seed()}};
    if (start_.checkpoint)
        restore_or_explain();
    else if (!config_.train.init_from.empty())
        made.init_from = start_from_weights();
    create_run_directory(options_.out, config_, make_manifest(made));
    save_run_text(options_.out, *plan_.data);
    // Without a checkpoint the run starts again, and so do its lines.
    const long kept = start_.checkpoint ? step_ : -1;
    if (start_.continues) drop_checkpoints_after(options_.out, kept);
    attempt_.emplace(options_.out, lock_,
                     AttemptFacts{device, options_.context.threads, trainer_.tokens_per_step(),
                                  numerics(config_)},
                     step_);
    log_.emplace(options_.out, start_.continues ? std::optional<long>(kept) : std::nullopt,
                 config_.record);
    logged_step_ = step_;
    if (observer_.settings) observer_.settings(settings());
    if (observer_.note)
        for (const std::string& text : config_warnings(config_, *plan_.data, plan_.mixer_params))
            observer_.note("warning: " + text);
    if (observer_.note && step_ > 0)
        observer_.note(fmt::format("resumed {} at step {}", options_.out.string(), step_));
}

RunResult Session::run(const StopFlag& stop) {
    open();
    bool done = false;
    try {
        train_loop(stop);
        done = ended() && score_splits(stop);
    } catch (const Diverged& e) {
        finish("diverged", kDiverged, e.what());
        const auto kept = newest_checkpoint(options_.out);
        throw Diverged(fmt::format("{}. {}", e.what(),
                                   kept ? "The last good checkpoint is " + kept->string()
                                        : "No checkpoint had been written yet"));
    } catch (const std::exception& e) {
        fail(e);
        throw;
    }
    const std::string status = done ? "done" : "interrupted";
    finish(status, done ? 0 : kInterrupted, status);
    return {done ? RunOutcome::done : RunOutcome::interrupted, summary(status)};
}

// Says so in the folder, where that is still possible.
void Session::fail(const std::exception& e) {
    const bool known = dynamic_cast<const IoError*>(&e) != nullptr ||
                       dynamic_cast<const std::bad_alloc*>(&e) != nullptr;
    try {
        lock_.check();
        attempt_->end(step_, known ? kInputOutput : kInternal, e.what());
        write_status(options_.out, "failed");
    } catch (const std::exception&) {  // the same fault again; its first message is the one to show
    }
}

}  // namespace plumb
