#include "train/trainer.h"

#include "ops/reduce.h"
#include "train/schedule.h"

#include <cmath>

namespace plumb {
namespace {

bool all_finite(View<const float> x) {
    for (Index i = 0; i < x.count(); ++i)
        if (!std::isfinite(x.data[i])) return false;
    return true;
}

// Remembers the first tensor of a pass that holds a NaN or an infinity.
class FiniteCheck final : public Recorder<float> {
public:
    explicit FiniteCheck(int sublayers) : sublayers_(sublayers) {}

    void tensor(const Context&, Quantity what, int l, View<const float> x) override {
        if (!found.empty() || all_finite(x)) return;
        const std::string site = site_name(l, sublayers_);
        switch (what) {
            case Quantity::output:
                found = "the output of " + site;
                break;
            case Quantity::stream:
                found = "the residual stream after " + site;
                break;
            case Quantity::read_input:
                found = "the input read by " + site;
                break;
            case Quantity::doutput:
                found = "the gradient at the output of " + site;
                break;
            case Quantity::dread_input:
                found = "the gradient at the input of " + site;
                break;
        }
    }
    std::string found;

private:
    int sublayers_;
};

}  // namespace

Trainer::Trainer(const TransformerShape& shape, const TrainConfig& train, const Dataset& data)
    : model_(make_model(shape, train.precision)),
      train_(train),
      data_(data),
      model_tokens_(shape.batch * model_->config().context) {}

void Trainer::allocate() {
    model_->allocate(static_cast<std::uint64_t>(train_.seed));
    for (auto& m : moments_) m.assign(static_cast<std::size_t>(model_->params().flat_size()), 0.0f);
    decay_ranges_.clear();
    for (const ParamSpec& s : model_->params().specs())
        decay_ranges_.push_back({s.offset + s.shape.count(), s.decay});
}

double Trainer::planned_bytes() const {
    return static_cast<double>(model_->plan().total_bytes()) +
           4.0 * sizeof(float) * static_cast<double>(model_->params().flat_size());
}

View<float> Trainer::moment(ParamId id, int which) {
    const ParamSpec& s = model_->params().specs().at(static_cast<std::size_t>(id.index));
    return {moments_[which].data() + s.offset, s.shape, Device::cpu};
}

StepResult Trainer::step(const Context& ctx, long step) {
    ParamStore<float>& params = model_->params();
    params.zero_grad();
    const Shape batch{{'B', model_tokens_ / model_->config().context},
                      {'T', model_->config().context}};
    StepResult result{0, 0, learning_rate(train_, step)};
    for (long a = 0; a < train_.accumulate; ++a) {
        const DropoutKey key{static_cast<std::uint64_t>(train_.seed),
                             static_cast<std::uint64_t>(step * train_.accumulate + a)};
        data_.train_batch(key.seed, key.pass, {model_->tokens().data, batch, Device::cpu},
                          {model_->targets().data, batch, Device::cpu});
        const double loss = model_->forward(ctx, nullptr, key);
        const double limit = kDivergedFactor * std::log(static_cast<double>(model_->vocab()) + 1);
        if (!(loss <= limit)) diverged(ctx, step, "loss", loss);
        result.loss += loss / static_cast<double>(train_.accumulate);
        model_->backward(ctx, 1.0f / static_cast<float>(train_.accumulate));
    }
    const View<const float> grads{params.grads().data(), {{'P', params.flat_size()}}, Device::cpu};
    {
        const Timed timed(ctx.profile, Part::optimizer);
        result.grad_norm = std::sqrt(total_dot<float>(ctx, grads, grads));
    }
    if (!std::isfinite(result.grad_norm)) diverged(ctx, step, "gradient norm", result.grad_norm);
    update(ctx, step, result.lr, result.grad_norm);
    return result;
}

void Trainer::update(const Context& ctx, long step, double lr, double grad_norm) {
    AdamWStep s{lr,  train_.beta1, train_.beta2, train_.adam_eps, train_.weight_decay,
                1.0, step + 1};
    if (train_.clip > 0 && grad_norm > train_.clip) s.grad_scale = train_.clip / grad_norm;
    ParamStore<float>& params = model_->params();
    const auto flat = [&](std::vector<float>& x) {
        return View<float>{x.data(), {{'P', params.flat_size()}}, Device::cpu};
    };
    adamw<float>(ctx, s, flat(params.values()), flat(params.grads()), flat(moments_[0]),
                 flat(moments_[1]), decay_ranges_);
}

double Trainer::evaluate(const Context& ctx) {
    const Shape batch{{'B', model_tokens_ / model_->config().context},
                      {'T', model_->config().context}};
    double total = 0, scored = 0;
    for (long k = 0; k < train_.eval_batches; ++k) {
        data_.val_batch(static_cast<std::uint64_t>(k), {model_->tokens().data, batch, Device::cpu},
                        {model_->targets().data, batch, Device::cpu});
        double n = 0;
        for (Index i = 0; i < model_tokens_; ++i) n += model_->targets().data[i] >= 0;
        total += n * model_->forward(ctx);
        scored += n;
    }
    return scored > 0 ? total / scored : 0.0;
}

void Trainer::probe(const Context& ctx, Recorder<float>& recorder) {
    const Shape batch{{'B', model_tokens_ / model_->config().context},
                      {'T', model_->config().context}};
    data_.val_batch(0, {model_->tokens().data, batch, Device::cpu},
                    {model_->targets().data, batch, Device::cpu});
    model_->params().zero_grad();
    model_->forward(ctx, &recorder);
    model_->backward(ctx, 1.0f, &recorder);
}

void Trainer::check_parameters(long step) const {
    const ParamStore<float>& params = model_->params();
    for (const ParamSpec& s : params.specs())
        if (!all_finite({params.values().data() + s.offset, s.shape, Device::cpu}))
            throw Diverged(fmt::format("step {}: {} is not finite", step, s.name));
}

// The batch that failed is still loaded: run it again, looking at every tensor on the way.
std::string Trainer::first_bad_tensor(const Context& ctx) {
    ParamStore<float>& params = model_->params();
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        if (!all_finite(params.value({i}))) return params.specs()[static_cast<std::size_t>(i)].name;
    FiniteCheck check(model_->sublayers());
    model_->forward(ctx, &check);
    if (check.found.empty() && !all_finite(model_->logits())) return "logits";
    params.zero_grad();
    model_->backward(ctx, 1.0f, &check);
    if (!check.found.empty()) return check.found;
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        if (!all_finite(params.grad({i})))
            return "the gradient of " + params.specs()[static_cast<std::size_t>(i)].name;
    return "";
}

void Trainer::diverged(const Context& ctx, long step, const std::string& what, double value) {
    const std::string tensor = first_bad_tensor(ctx);
    throw Diverged(fmt::format(
        "step {}: {} is {}; {}. Try a smaller train.lr, more train.warmup or train.clip=1", step,
        what, std::abs(value),  // the sign of a NaN says nothing
        tensor.empty() ? "all tensors are finite, the loss exceeds 4 ln(vocabulary)"
                       : "first tensor that is not finite: " + tensor));
}

}  // namespace plumb
