// Which sequences a step sees.
#include "catch.h"
#include "support/tiny_trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

using namespace plumb;
using namespace plumb::test;

namespace {

// Markov text whose training batches are shown to `look`, which may change their tokens.
class Looked final : public Dataset {
public:
    using Look = std::function<void(std::uint64_t index, View<std::int32_t> tokens)>;
    explicit Looked(Look look) : look_(std::move(look)) {
        DataConfig task;
        task.task = "markov";
        inner_ = open_dataset(task, tiny_model_config().context);
    }

    Index vocab() const override { return inner_->vocab(); }
    void train_batch(std::uint64_t seed, std::uint64_t index, View<std::int32_t> tokens,
                     View<std::int32_t> targets) const override {
        inner_->train_batch(seed, index, tokens, targets);
        look_(index, tokens);
    }
    void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                   View<std::int32_t> targets) const override {
        inner_->val_batch(index, tokens, targets);
    }
    Index val_sequences() const override { return inner_->val_sequences(); }
    std::string describe() const override { return inner_->describe(); }
    std::string fingerprint() const override { return inner_->fingerprint(); }

private:
    Look look_;
    std::unique_ptr<Dataset> inner_;
};

// Token 0 is in training batch `which` alone.
Looked::Look zero_in(std::uint64_t which) {
    return [which](std::uint64_t index, View<std::int32_t> tokens) {
        std::replace(tokens.data, tokens.data + tokens.count(), 0, 1);
        if (index == which) tokens.data[tokens.count() / 2] = 0;
    };
}

}  // namespace

TEST_CASE("micro-batches are counted through: none is seen twice, none left out", "[train]") {
    TrainConfig train = tiny_train();
    train.accumulate = 3;
    std::vector<std::uint64_t> asked;
    TinyTrainer t =
        tiny_trainer("standard", train, tiny_model_config(),
                     std::make_unique<Looked>(
                         [&](std::uint64_t index, View<std::int32_t>) { asked.push_back(index); }));
    for (long step = 0; step < 3; ++step) t.step(step);
    CHECK(asked == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8});
    asked.clear();
    t.step(10);  // as after a resume
    CHECK(asked == std::vector<std::uint64_t>{30, 31, 32});
}

TEST_CASE("a step says the mean loss of its micro-batches and the norm of their gradient",
          "[train]") {
    TrainConfig train = tiny_train();
    train.accumulate = 3;
    for (const char* mixer : {"standard", "mhc"}) {
        TinyTrainer t = tiny_trainer(mixer, train), twin = tiny_trainer(mixer, train);
        Model<float>& model = twin.trainer->model();
        for (long step = 0; step < 2; ++step) {
            std::copy_n(t.params().flat_values().data, t.params().flat_size(),
                        model.params().flat_values().data);
            const Shape shape{{'B', train.batch}, {'T', model.config().context}};
            double loss = 0, square = 0;
            for (std::uint64_t a = 0; a < 3; ++a) {
                twin.data->train_batch(train.data_seed(), 3 * static_cast<std::uint64_t>(step) + a,
                                       {model.tokens().data, shape}, {model.targets().data, shape});
                loss += model.forward(twin.ctx) / 3;
            }
            const StepResult r = t.step(step);
            for (const float g : t.params().grads()) square += std::pow(static_cast<double>(g), 2);
            INFO(mixer << " " << step);
            CHECK(r.loss == Approx(loss).epsilon(1e-7));
            CHECK(r.grad_norm == Approx(std::sqrt(square)).epsilon(1e-6));
        }
    }
}

TEST_CASE("the micro-batch that diverges is the one that is looked at, and nothing is learnt",
          "[train]") {
    ModelConfig model = tiny_model_config();
    model.tied_head = false;
    for (const OptimizerInfo& info : optimizers())
        for (const std::uint64_t bad : {0, 1, 2}) {
            INFO(info.name << ", micro-batch " << bad);
            TrainConfig train = tiny_train();
            train.accumulate = 3, train.optimizer = info.name;
            const auto trainer = [&] {
                return tiny_trainer("standard", train, model,
                                    std::make_unique<Looked>(zero_in(3 + bad)));
            };
            TinyTrainer t = trainer(), undisturbed = trainer();
            t.step(0), undisturbed.step(0);
            const std::vector<float> good = t.params().values();
            const View<float> embed = t.params().value(t.params().find("embed.weight"));
            for (Index i = 0; i < model.width; ++i) embed.data[i] *= 1e22f;  // of token 0
            const std::vector<float> before = t.params().values();
            CHECK_THROWS_WITH(t.step(1), contains_text("step 1: loss is") &&
                                             contains_text("what layer.0.attn reads") &&
                                             contains_text("overflows in its norm"));
            CHECK(std::memcmp(before.data(), t.params().values().data(), 4 * before.size()) == 0);
            // Nor has the optimizer's state seen it: the step can be made.
            std::copy(good.begin(), good.end(), t.params().flat_values().data);
            t.step(1), undisturbed.step(1);
            CHECK((t.params().values() == undisturbed.params().values()));
        }
}
