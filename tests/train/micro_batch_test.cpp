// Which sequences a step sees.
#include "catch.h"
#include "support/tiny_trainer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// A dataset that writes down which batches it was asked for.
class Listening final : public Dataset {
public:
    Listening(std::unique_ptr<Dataset> inner, std::vector<std::uint64_t>& asked)
        : inner_(std::move(inner)), asked_(asked) {}

    Index vocab() const override { return inner_->vocab(); }
    void train_batch(std::uint64_t seed, std::uint64_t index, View<std::int32_t> tokens,
                     View<std::int32_t> targets) const override {
        asked_.push_back(index);
        inner_->train_batch(seed, index, tokens, targets);
    }
    void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                   View<std::int32_t> targets) const override {
        inner_->val_batch(index, tokens, targets);
    }
    Index val_sequences() const override { return inner_->val_sequences(); }
    std::string describe() const override { return inner_->describe(); }
    std::string fingerprint() const override { return inner_->fingerprint(); }

private:
    std::unique_ptr<Dataset> inner_;
    std::vector<std::uint64_t>& asked_;
};

}  // namespace

TEST_CASE("micro-batches are counted through: none is seen twice, none left out", "[train]") {
    TrainConfig train = tiny_train();
    train.accumulate = 3;
    DataConfig task;
    task.task = "markov";
    std::vector<std::uint64_t> asked;
    TinyTrainer t = tiny_trainer(
        "standard", train, tiny_model_config(),
        std::make_unique<Listening>(open_dataset(task, tiny_model_config().context), asked));
    for (long step = 0; step < 3; ++step) t.step(step);
    CHECK(asked == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8});
    asked.clear();
    t.step(10);  // as after a resume
    CHECK(asked == std::vector<std::uint64_t>{30, 31, 32});
}
