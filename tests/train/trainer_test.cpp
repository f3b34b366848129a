#include "train/trainer.h"

#include "catch.h"
#include "data/tasks.h"
#include "record/probes.h"
#include "support/allocations.h"
#include "support/tiny_trainer.h"

#include <cmath>
#include <map>

using namespace plumb;
using namespace plumb::test;

namespace {

std::vector<float> numbers(ParamStore<float>& params, Index i) {
    const View<float> v = params.value({i});
    return {v.data, v.data + v.count()};
}

// Values of the parameters that every mixer has, by name.
std::map<std::string, std::vector<float>> shared_values(ParamStore<float>& params) {
    std::map<std::string, std::vector<float>> out;
    for (Index i = 0; i < std::ssize(params.specs()); ++i) {
        const ParamSpec& s = params.specs()[static_cast<std::size_t>(i)];
        const bool of_way = s.name.find(".attn.norm_") != std::string::npos;
        if (s.group == Group::model && !of_way) out[s.name] = numbers(params, i);
    }
    return out;
}

std::vector<std::int32_t> loaded_batch(TinyTrainer& t) {
    const auto& model = t.trainer->model();
    std::vector<std::int32_t> out(model.tokens().data,
                                  model.tokens().data + model.tokens().count());
    out.insert(out.end(), model.targets().data, model.targets().data + model.targets().count());
    return out;
}

// Largest difference of two models' parameters.
double distance(ParamStore<float>& a, ParamStore<float>& b) {
    double worst = 0;
    REQUIRE(a.values().size() == b.values().size());
    for (std::size_t i = 0; i < a.values().size(); ++i) {
        const double d =
            std::abs(static_cast<double>(a.values()[i]) - static_cast<double>(b.values()[i]));
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

// Validation batch k scores its first k + 1 positions; every target is token 3.
class FewScored final : public Dataset {
public:
    Index vocab() const override { return 11; }
    void train_batch(std::uint64_t, std::uint64_t index, View<std::int32_t> tokens,
                     View<std::int32_t> targets) const override {
        val_batch(index, tokens, targets);
    }
    void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                   View<std::int32_t> targets) const override {
        for (Index i = 0; i < tokens.count(); ++i) {
            tokens.data[i] = static_cast<std::int32_t>((i * 7 + static_cast<Index>(index)) % 11);
            targets.data[i] = i <= static_cast<Index>(index) ? 3 : -1;
        }
    }
    Index val_sequences() const override { return 12; }
    std::string describe() const override { return "few"; }
    std::string fingerprint() const override { return ""; }
};

}  // namespace

TEST_CASE("all mixers start from the same shared values and see the same batches", "[train]") {
    TinyTrainer standard = tiny_trainer("standard");
    const auto values = shared_values(standard.params());
    REQUIRE(values.size() == 14);
    for (long s = 0; s < 3; ++s) standard.step(s);
    const auto batch = loaded_batch(standard);
    standard.trainer->evaluate(standard.ctx);
    const auto validation = loaded_batch(standard);
    CHECK(batch != validation);
    for (const MixerInfo& info : mixers()) {
        INFO(info.name);
        TinyTrainer t = tiny_trainer(info.name);
        CHECK(shared_values(t.params()) == values);
        for (long s = 0; s < 3; ++s) t.step(s);
        CHECK(loaded_batch(t) == batch);
        t.trainer->evaluate(t.ctx);
        CHECK(loaded_batch(t) == validation);
    }
}

TEST_CASE("the seed decides initial values and training data, not validation data", "[train]") {
    TrainConfig other = tiny_train();
    other.seed = 2;
    TinyTrainer a = tiny_trainer("hyper"), b = tiny_trainer("hyper", other);
    CHECK(shared_values(a.params()) != shared_values(b.params()));
    a.step(0), b.step(0);
    CHECK(loaded_batch(a) != loaded_batch(b));
    a.trainer->evaluate(a.ctx), b.trainer->evaluate(b.ctx);
    CHECK(loaded_batch(a) == loaded_batch(b));
}

TEST_CASE("initial values, data and dropout can have seeds of their own", "[train]") {
    struct Made {
        std::vector<float> start;
        std::vector<std::int32_t> batch;
        double loss;
    };
    const auto made = [](long all, const SeedConfig& seeds) {
        TrainConfig train = tiny_train();
        train.seed = all;
        train.seeds = seeds;
        ModelConfig model = tiny_model_config();
        model.dropout = 0.2;
        TinyTrainer t = tiny_trainer("hyper", train, model);
        Made m{t.params().values(), {}, 0};
        m.loss = t.step(0).loss;
        m.batch = loaded_batch(t);
        return m;
    };
    const Made one = made(1, {}), spelled = made(7, {.init = 1, .data = 1, .dropout = 1});
    CHECK(spelled.start == one.start);
    CHECK(spelled.batch == one.batch);
    CHECK(spelled.loss == one.loss);
    const Made init = made(1, {.init = 2}), data = made(1, {.data = 2}),
               dropout = made(1, {.dropout = 0});
    CHECK((init.start != one.start && init.batch == one.batch));
    CHECK((data.start == one.start && data.batch != one.batch));
    CHECK((dropout.start == one.start && dropout.batch == one.batch && dropout.loss != one.loss));
}

TEST_CASE("two micro-batches of 4 train as one batch of 8", "[train]") {
    TrainConfig one = tiny_train(), two = one;
    one.batch = 8;
    two.accumulate = 2;
    for (const MixerInfo& info : mixers()) {
        INFO(info.name);
        TinyTrainer a = tiny_trainer(info.name, one), b = tiny_trainer(info.name, two);
        CHECK(a.trainer->tokens_per_step() == b.trainer->tokens_per_step());
        const StepResult ra = a.step(0), rb = b.step(0);
        CHECK(ra.loss == Approx(rb.loss).epsilon(1e-6));
        CHECK(ra.grad_norm == Approx(rb.grad_norm).epsilon(1e-5));
        double worst = 0, largest = 0;
        const std::vector<float> of_a = a.params().grads(), of_b = b.params().grads();
        for (std::size_t i = 0; i < of_a.size(); ++i) {
            const auto x = static_cast<double>(of_a[i]);
            if (const double d = std::abs(x - static_cast<double>(of_b[i])); !(d <= worst))
                worst = d;
            largest = std::max(largest, std::abs(x));
        }
        CHECK(worst <= 1e-5 * largest);
    }
}

TEST_CASE("a step is a function of parameters, moments, seed and number alone", "[train]") {
    TinyTrainer a = tiny_trainer("mhc"), b = tiny_trainer("mhc");
    for (long s = 0; s < 4; ++s) {
        a.step(s);
        b.step(s);
        DepthProbe<float> probe(b.trainer->model().mixer(), 2);
        b.trainer->probe(b.ctx, 3, probe);
        b.trainer->evaluate(b.ctx);
    }
    CHECK(distance(a.params(), b.params()) == 0);
}

TEST_CASE("validation weights batches by their scored tokens", "[train]") {
    TrainConfig train = tiny_train();
    TinyTrainer t =
        tiny_trainer("standard", train, tiny_model_config(), std::make_unique<FewScored>());
    double total = 0;
    const Shape batch{{'B', 4}, {'T', 24}};
    auto& model = t.trainer->model();
    for (std::uint64_t k = 0; k < 3; ++k) {
        t.data->val_batch(k, {model.tokens().data, batch}, {model.targets().data, batch});
        model.forward(t.ctx);
        for (Index i = 0; i <= static_cast<Index>(k); ++i)
            total += static_cast<double>(model.token_losses().data[i]);
    }
    CHECK(t.trainer->evaluate(t.ctx) == Approx(total / (1 + 2 + 3)).epsilon(1e-6));
}

TEST_CASE("validation scores sequences, whatever the batch", "[train]") {
    for (const char* mixer : {"standard", "attnres_block", "hyper"}) {
        std::map<long, Evaluation> first, split;
        for (const long batch : {8, 5, 2, 1}) {
            TrainConfig train = tiny_train();
            train.batch = batch;
            train.eval_sequences = 11;  // a multiple of none but 1
            TinyTrainer t = tiny_trainer(mixer, train);
            first[batch] = evaluate(t.ctx, t.trainer->model(), *t.data, 11);
            split[batch] = t.trainer->evaluate_split(t.ctx);
            CHECK(t.trainer->evaluate(t.ctx) == first[batch].loss);
            INFO(mixer << ", batch " << batch);
            CHECK(first[batch].tokens == 11 * 24);
            CHECK(split[batch].tokens == kTaskValSequences * 24);
            CHECK(first[batch].loss == Approx(first[8].loss).epsilon(2e-7));
            CHECK(split[batch].loss == Approx(split[8].loss).epsilon(2e-7));
        }
        CHECK(first[8].loss != Approx(split[8].loss).epsilon(1e-5));
    }
}

TEST_CASE("validation of more sequences than there are scores those there are", "[train]") {
    TinyTrainer t = tiny_trainer("standard");
    const auto& model = t.trainer->model();
    const Evaluation e = evaluate(t.ctx, t.trainer->model(), *t.data, 1L << 40);
    CHECK(e.sequences == kTaskValSequences);
    CHECK(e.tokens == kTaskValSequences * model.config().context);
    StopFlag stop{true};
    CHECK_THROWS_AS(t.trainer->evaluate_split(t.ctx, &stop), Stopped);
}

TEST_CASE("a stop is seen between micro-batches, and the step can be made again", "[train]") {
    TrainConfig train = tiny_train();
    train.accumulate = 3;
    TinyTrainer t = tiny_trainer("mhc", train), undisturbed = tiny_trainer("mhc", train);
    const StopFlag stop{true};
    CHECK_THROWS_AS(t.trainer->step(t.ctx, 0, &stop), Stopped);
    t.step(0), undisturbed.step(0);
    CHECK(distance(t.params(), undisturbed.params()) == 0);
}

TEST_CASE("a step allocates nothing", "[train]") {
    if (!kMemoryIsMeasured) {
        WARN("skipped under AddressSanitizer");
        return;
    }
    const auto check = [](const std::string& mixer, const TrainConfig& train) {
        ModelConfig model = tiny_model_config();
        model.dropout = 0.1;
        TinyTrainer t = tiny_trainer(mixer, train, model);
        t.step(0);
        start_counting();
        for (long s = 1; s < 4; ++s) t.step(s);
        const Allocations a = stop_counting();
        INFO(mixer << " " << train.optimizer << ": " << a.onednn
                   << " by oneDNN; the first of ours at\n"
                   << a.where);
        CHECK(a.ours == 0);
    };
    TrainConfig train = tiny_train();
    train.accumulate = 2;
    for (const char* precision : {"fp32", "bf16"})
        for (const MixerInfo& info : mixers()) {
            train.precision = precision;
            check(info.name, train);
        }
    for (const OptimizerInfo& info : optimizers()) {
        train.optimizer = info.name;
        check("attnres", train);
    }
}

TEST_CASE("a small model learns a Markov chain", "[train]") {
    struct Case {
        const char *mixer, *precision, *optimizer;
    };
    for (const auto& [mixer, precision, optimizer] : {Case{"standard", "fp32", "adamw"},
                                                      {"attnres", "fp32", "adamw"},
                                                      {"standard", "bf16", "adamw"},
                                                      {"mhc", "bf16", "adamw"},
                                                      {"standard", "fp32", "muon"},
                                                      {"attnres", "bf16", "muon"}}) {
        TrainConfig train = tiny_train();
        train.precision = precision;
        train.optimizer = optimizer;
        train.batch = 16;
        train.eval_sequences = 48;
        train.steps = 300;
        train.lr = 0.01;
        train.warmup = 20;
        TinyTrainer t = tiny_trainer(mixer, train);
        const double optimum = t.data->optimal_loss().value(), start = t.trainer->evaluate(t.ctx);
        CHECK(start == Approx(std::log(32.0)).margin(0.1));
        for (long s = 0; s < train.steps; ++s) t.step(s);
        const double end = t.trainer->evaluate(t.ctx);
        INFO(mixer << " " << optimizer << ": from " << start << " to " << end << ", the optimum is "
                   << optimum);
        CHECK(end < optimum + 0.15);
        CHECK(end > optimum - 0.05);  // 48 x 24 tokens
    }
}
