// A trainer of one to two blocks on a built-in task.
#pragma once

#include "check/toy_stack.h"
#include "train/trainer.h"

#include <memory>
#include <string>

namespace plumb::test {

struct TinyTrainer {
    std::unique_ptr<Dataset> data;
    std::unique_ptr<Trainer> trainer;
    Context ctx{};

    StepResult step(long s) { return trainer->step(ctx, s); }
    ParamStore<float>& params() { return trainer->model().params(); }
};

inline TrainConfig tiny_train() {
    TrainConfig t;
    t.batch = 4;
    t.steps = 100;
    t.warmup = 4;
    t.eval_sequences = 12;
    return t;
}

inline ModelConfig tiny_model_config() {
    ModelConfig m;
    m.layers = 2;
    m.width = 16;
    m.heads = 2;
    m.context = 24;
    return m;
}

inline TinyTrainer tiny_trainer(const MixerConfig& mixer, const TrainConfig& train = tiny_train(),
                                const ModelConfig& model = tiny_model_config(),
                                std::unique_ptr<Dataset> data = nullptr, int threads = 1,
                                Device device = Device::cpu) {
    TinyTrainer t;
    t.ctx.device = device;
    t.ctx.threads = threads;
    DataConfig task;
    task.task = "markov";
    t.data = data ? std::move(data) : open_dataset(task, model.context);
    t.trainer = std::make_unique<Trainer>(
        TransformerShape{model, mixer, t.data->vocab(), train.batch, threads, 0, device}, train,
        *t.data);
    t.trainer->allocate();
    set_up_threads(t.ctx);
    return t;
}

inline TinyTrainer tiny_trainer(const std::string& mixer, const TrainConfig& train = tiny_train(),
                                const ModelConfig& model = tiny_model_config(),
                                std::unique_ptr<Dataset> data = nullptr) {
    return tiny_trainer(mixer_config(mixer), train, model, std::move(data));
}

}  // namespace plumb::test
