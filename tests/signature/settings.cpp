#include "signature/settings.h"

#include "mixers/mixers.h"
#include "model/transformer.h"
#include "train/schedule.h"

#include <algorithm>
#include <cmath>

namespace plumb::test {

SignatureCase signature_case(const std::string& name) {
    SignatureCase c{.name = name, .model = {}, .mixer = {}, .train = {}, .data = {}};
    c.model.layers = 2, c.model.width = 32, c.model.heads = 2, c.model.context = 24;
    c.train.batch = 4, c.train.accumulate = 2, c.train.steps = 30, c.train.warmup = 4;
    c.train.lr = 1e-2, c.train.clip = 0.5;
    c.data.task = "markov", c.data.options.set("task_vocab", 16L);
    return c;
}

std::vector<SignatureCase> mixer_cases() {
    std::vector<SignatureCase> cases;
    for (const MixerInfo& info : mixers()) {
        auto settings = info.test_settings;
        if (std::find(settings.begin(), settings.end(), std::vector<std::string>{}) ==
            settings.end())
            settings.insert(settings.begin(), std::vector<std::string>{});
        for (const auto& options : settings) {
            std::string name = info.name;
            for (const std::string& option : options) name += " " + option;
            cases.push_back(signature_case(name));
            cases.back().mixer = mixer_config(info.name, options);
            // At the rate of the others such queries and weights run away, and rounding with them.
            if (cases.back().mixer.text("query") == "input" || info.name == "mudd")
                cases.back().train.lr = 5e-4;
        }
    }
    return cases;
}

std::vector<SignatureCase> other_cases() {
    std::vector<SignatureCase> cases;
    const auto add = [&](const std::string& name) -> SignatureCase& {
        return cases.emplace_back(signature_case(name));
    };
    for (const TaskInfo& task : tasks()) {
        SignatureCase& c = add("task " + task.name);
        c.data = {};
        c.data.task = task.name, c.model.context = 72;  // room for the longest task
    }
    for (const char* schedule : {"wsd", "constant"})
        add(std::string("schedule ") + schedule).train.schedule = schedule;
    add("seed 2").train.seed = 2;
    add("dropout 0.1").model.dropout = 0.1;
    ModelConfig& other = add("gelu, qk_norm, own head, shared keys").model;
    other.mlp = "gelu", other.qk_norm = true, other.tied_head = false, other.kv_heads = 1;
    return cases;
}

namespace {

// AdamW as Loshchilov & Hutter 2019 write it, step counted from 1.
void adamw_step(const TrainConfig& t, double lr, long step, double scale,
                ParamStore<double>& params, std::vector<double>& m, std::vector<double>& v) {
    const double bias1 = 1 - std::pow(t.beta1, step), bias2 = 1 - std::pow(t.beta2, step);
    const double* grads = params.flat_grads().data;
    double* values = params.flat_values().data;
    for (const ParamSpec& spec : params.specs()) {
        const auto begin = static_cast<std::size_t>(spec.offset);
        for (std::size_t i = begin; i < begin + static_cast<std::size_t>(spec.shape.count()); ++i) {
            const double g = scale * grads[i];
            m[i] = t.beta1 * m[i] + (1 - t.beta1) * g;
            v[i] = t.beta2 * v[i] + (1 - t.beta2) * g * g;
            double& w = values[i];
            if (spec.decay) w -= lr * t.weight_decay * w;
            w -= lr * (m[i] / bias1) / (std::sqrt(v[i] / bias2) + t.adam_eps);
        }
    }
}

}  // namespace

std::vector<double> losses_in_double(const SignatureCase& c) {
    const auto data = c.open();
    Transformer<double> model(c.shape(*data));
    const auto seed = static_cast<std::uint64_t>(c.train.seed);
    model.allocate(seed);
    ParamStore<double>& params = model.params();
    std::vector<double> m(static_cast<std::size_t>(params.flat_size())), v(m.size()), losses;
    const Shape batch{{'B', c.train.batch}, {'T', c.model.context}};
    const double part = 1.0 / static_cast<double>(c.train.accumulate);
    for (long step = 0; step < kSignatureSteps; ++step) {
        params.zero_grad();
        losses.push_back(0);
        for (long a = 0; a < c.train.accumulate; ++a) {
            const auto index = static_cast<std::uint64_t>(step * c.train.accumulate + a);
            data->train_batch(seed, index, {model.tokens().data, batch, Device::cpu},
                              {model.targets().data, batch, Device::cpu});
            losses.back() += part * model.forward({}, nullptr, DropoutKey{seed, index});
            model.backward({}, part);
        }
        double square = 0;
        for (const double g : params.grads()) square += g * g;
        adamw_step(c.train, learning_rate(c.train, step), step + 1,
                   std::min(1.0, c.train.clip / std::sqrt(square)), params, m, v);
    }
    return losses;
}

std::vector<double> losses_of_trainer(const SignatureCase& c) {
    const auto data = c.open();
    Trainer trainer(c.shape(*data), c.train, *data);
    trainer.allocate();
    std::vector<double> losses;
    for (long step = 0; step < kSignatureSteps; ++step)
        losses.push_back(trainer.step({}, step).loss);
    return losses;
}

}  // namespace plumb::test
