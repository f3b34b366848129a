#include "train/trainer.h"

#include "core/flush_to_zero.h"
#include "mixers/parameter_kind.h"
#include "ops/cross_entropy.h"
#include "ops/reduce.h"
#include "train/divergence.h"
#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumb {
namespace {

template <class F>
void ask(const Context& ctx, gpu::Graph& graph, F&& what) {
    if (ctx.device == Device::cuda)
        graph.run(std::ref(what));  // a step allocates nothing
    else
        what();
}

// One range a parameter: which decay, which are trained, and how fast.
std::vector<UpdateRange> update_ranges(const ParamStore<float>& params, const MixerConfig& mixer) {
    std::vector<UpdateRange> ranges;
    std::vector<std::string> kinds;
    for (const ParamSpec& s : params.specs()) {
        UpdateRange& range = ranges.emplace_back(UpdateRange{s.offset + s.shape.count(), s.decay});
        if (s.group != Group::mixer) continue;
        const std::string kind = parameter_kind(s.name);
        range.trained =
            std::find(mixer.freeze.begin(), mixer.freeze.end(), kind) == mixer.freeze.end();
        range.lr_scale = mixer.lr_scale;
        if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
    }
    for (const std::string& kind : mixer.freeze)
        if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
            throw UsageError(
                fmt::format("mixer.freeze: {} has no parameters '{}'; {}", mixer.name, kind,
                            kinds.empty() ? "it has none at all, leave mixer.freeze out"
                                          : fmt::format("it has {}", fmt::join(kinds, ", "))));
    return ranges;
}

}  // namespace

Trainer::Trainer(const TransformerShape& shape, const TrainConfig& train, const Dataset& data)
    : model_(make_model(shape, train.precision)),
      train_(train),
      data_(data),
      model_tokens_(shape.batch * model_->config().context),
      tokens_(static_cast<std::size_t>(model_tokens_)),
      targets_(tokens_.size()),
      ranges_(update_ranges(model_->params(), shape.mixer)),
      optimizer_(find_optimizer(train.optimizer)
                     .make({model_->params().specs(), ranges_, train, shape.device})) {}

void Trainer::allocate() {
    model_->allocate(train_.init_seed());
    optimizer_->allocate();
    scalars_ = DeviceArray<StepScalars>(1, model_->plan().device());
}

double Trainer::planned_bytes() const {
    return static_cast<double>(model_->plan().total_bytes()) +
           2.0 * sizeof(float) * static_cast<double>(model_->params().flat_size()) +
           optimizer_->bytes();
}

double Trainer::loss_limit() const {
    return train_.divergence_limit > 0
               ? train_.divergence_limit * std::log(static_cast<double>(model_->vocab()) + 1)
               : std::numeric_limits<double>::max();
}

// Returns what its dropout is drawn by.
DropoutKey Trainer::load(const MicroBatch& batch, long step) {
    const DropoutKey key{train_.dropout_seed(),
                         static_cast<std::uint64_t>(step * batch.count + batch.index)};
    const Shape shape{{'B', model_tokens_ / model_->config().context},
                      {'T', model_->config().context}};
    data_.train_batch(train_.data_seed(), key.pass, {tokens_.data(), shape},
                      {targets_.data(), shape});
    put(model_->tokens(), tokens_.data());
    put(model_->targets(), targets_.data());
    return key;
}

StepResult Trainer::step(const Context& ctx, long step, const StopFlag* stop) {
    const FlushToZero flush;
    model_->params().zero_grad();
    const float part = 1.0f / static_cast<float>(train_.accumulate);
    MicroBatch batch{0, train_.accumulate, loss_limit()};
    for (; batch.index < batch.count; ++batch.index) {
        if (batch.index > 0) stop_if(stop);
        const DropoutKey key = load(batch, step);
        ask(ctx, passes_, [&] {
            model_->run_forward(ctx, nullptr, key, part);
            count_loss(ctx, batch, model_->loss(), model_->overflow(), scalars_.view());
            model_->backward(ctx, part);
        });
    }
    const double lr = learning_rate(train_, step);
    ask(ctx, update_, [&] {
        zero_frozen_gradients(ctx);
        update(ctx, step, lr);
    });
    StepScalars now;
    fetch<StepScalars>(scalars_.view(), &now);
    if (now.bad_batch > 0) {
        batch.index = static_cast<long>(now.bad_batch) - 1;
        load(batch, step);
        diverged(ctx, step, "loss", now.bad_loss);
    }
    if (!std::isfinite(now.grad_norm)) diverged(ctx, step, "gradient norm", now.grad_norm);
    return {now.loss, now.grad_norm, lr};
}

// Changes nothing where the gradients are of no use.
void Trainer::update(const Context& ctx, long step, double lr) {
    const Timed timed(ctx.profile, Part::optimizer);
    const View<const float> grads = model_->params().flat_grads();
    const View<StepScalars> now = scalars_.view();
    total_dot<float>(ctx, grads, grads, scalar_of(now, &StepScalars::grad_square));
    clip_factor(ctx, train_.clip, now);
    optimizer_->step(ctx, model_->params(),
                     {lr, scalar_of(now, &StepScalars::grad_scale), step + 1});
}

// What is not trained has no part in the gradient norm either.
void Trainer::zero_frozen_gradients(const Context& ctx) {
    const View<float> grads = model_->params().flat_grads();
    Index begin = 0;
    for (const UpdateRange& r : ranges_) {
        const Shape part{{'P', r.end - begin}};
        if (!r.trained) clear<float>(ctx, {grads.data + begin, part, grads.device});
        begin = r.end;
    }
}

double Trainer::evaluate(const Context& ctx) {
    return plumb::evaluate(ctx, *model_, data_, train_.eval_sequences).loss;
}

Evaluation Trainer::evaluate_split(const Context& ctx, const StopFlag* stop, const Dataset* other) {
    return plumb::evaluate_split(ctx, *model_, other != nullptr ? *other : data_, stop);
}

void Trainer::probe(const Context& ctx, Index n_sequences, Recorder<float>& recorder,
                    const std::function<void(Index)>& begin_pass) {
    const Index wanted = std::min(n_sequences, data_.val_sequences());
    const auto scored = [&] { return n_scored(ctx, model_->targets()); };
    double all = 0;  // each pass counts by its part of the scored tokens
    for (Index used = 0, pass = 0; used < wanted; ++pass) {
        used += load_validation(*model_, data_, pass, wanted);
        all += static_cast<double>(scored());
    }
    model_->params().zero_grad();
    for (Index used = 0, pass = 0; used < wanted; ++pass) {
        const Index sequences = load_validation(*model_, data_, pass, wanted);
        used += sequences;
        if (begin_pass) begin_pass(sequences * model_->config().context);
        const auto part = static_cast<float>(static_cast<double>(scored()) / all);
        model_->run_forward(ctx, &recorder, {}, part);
        model_->backward(ctx, part, &recorder);
    }
}

void Trainer::check_parameters(long step) const {
    ParamStore<float>& params = model_->params();
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        if (const View<float> x = params.value({i}); !all_finite<float>({x.device}, x))
            throw Diverged(fmt::format("step {}: {} is not finite", step,
                                       params.specs()[static_cast<std::size_t>(i)].name));
}

// The batch that failed is still loaded.
void Trainer::diverged(const Context& ctx, long step, const std::string& what, double value) {
    const std::string tensor = first_bad_tensor(ctx, *model_);
    const std::string cause =
        tensor.empty() ? fmt::format("all tensors are finite, the loss exceeds {} ln(vocabulary)",
                                     train_.divergence_limit)
                       : "first tensor that is not finite: " + tensor;
    throw Diverged(fmt::format("step {}: {} is {}; {}. {}", step, what,
                               std::abs(value),  // the sign of a NaN says nothing
                               cause, divergence_advice(train_, step, tensor.empty())));
}

}  // namespace plumb
