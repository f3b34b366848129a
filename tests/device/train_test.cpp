// Training on a device beside training on the CPU.
#include "support/environment.h"
#include "support/every_mixer.h"
#include "support/thread_orders.h"
#include "support/tiny_trainer.h"

#include <cmath>

using namespace plumb;
using namespace plumb::test;

namespace {

ModelConfig small_model() {
    ModelConfig m;
    m.layers = 2;
    m.width = 64;
    m.heads = 2;
    m.context = 16;
    return m;
}

TrainConfig small_train(const std::string& precision = "fp32") {
    TrainConfig t;
    t.batch = 2;
    t.steps = 100;
    t.warmup = 4;
    t.eval_sequences = 4;
    t.precision = precision;
    return t;
}

// Losses of `steps` steps, then the validation loss.
std::vector<double> losses(Device device, const MixerConfig& mixer, const TrainConfig& train,
                           long steps, const ModelConfig& model = small_model()) {
    TinyTrainer t = tiny_trainer(mixer, train, model, nullptr, 1, device);
    std::vector<double> out;
    for (long s = 0; s < steps; ++s) out.push_back(t.step(s).loss);
    out.push_back(t.trainer->evaluate(t.ctx));
    return out;
}

double worst_difference(const std::vector<double>& a, const std::vector<double>& b) {
    REQUIRE(a.size() == b.size());
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (const double d = std::abs(a[i] - b[i]) / b[i]; !(d <= worst)) worst = d;
    return worst;
}

// Losses and parameters of two steps of two micro-batches with dropout.
std::vector<double> dropped_steps(const MixerConfig& mixer, const std::string& precision,
                                  ModelConfig model = small_model()) {
    TrainConfig train = small_train(precision);
    train.accumulate = 2;
    model.dropout = 0.1;
    TinyTrainer t = tiny_trainer(mixer, train, model, nullptr, 1, Device::cuda);
    std::vector<double> out;
    for (long s = 0; s < 2; ++s) out.push_back(t.step(s).loss);
    for (const float w : t.params().values()) out.push_back(static_cast<double>(w));
    return out;
}

void compare(const std::string& precision, long steps, double bound) {
    for_every_setting([&](const MixerConfig& mixer, const MixerInfo&) {
        const TrainConfig train = small_train(precision);
        const auto cuda = losses(Device::cuda, mixer, train, steps);
        const double worst = worst_difference(cuda, losses(Device::cpu, mixer, train, steps));
        CHECK(worst <= bound);
    });
}

}  // namespace

TEST_CASE("three steps of every mixer give the CPU's losses", "[device][train]") {
    compare("fp32", 3, 1e-5);
}

TEST_CASE("twenty steps of every mixer give the CPU's losses", "[.][device][twenty]") {
    compare("fp32", 20, 1e-5);
}

TEST_CASE("bf16 steps of every mixer stay near the CPU's", "[device][train]") {
    compare("bf16", 2, 2e-3);
}

TEST_CASE("a step has the same bits as a graph and kernel by kernel, on one stream and on two",
          "[device][train]") {
    const std::uint64_t order = thread_order();
    std::uint64_t seed = 0;
    for (const std::string mixer : {"standard", "attnres", "mhc", "mudd"})
        for (const std::string precision : {"fp32", "bf16"}) {
            INFO(mixer << " " << precision);
            const auto run = [&](const char* graph, const char* side) {
                const Environment a("PLUMB_GRAPH", graph), b("PLUMB_SIDE", side);
                set_thread_order(seed++);
                return dropped_steps(mixer_config(mixer), precision);
            };
            const auto plain = run("0", "0");
            CHECK((run("1", "0") == plain));  // not shown: thousands of numbers
            CHECK((run("0", "1") == plain));
            CHECK((run("1", "1") == plain));
        }
    set_thread_order(order);
}

// By itself: two minutes, and what ThreadSanitizer (plumb_emulated_race) can do of those above.
TEST_CASE("small steps of every mixer have the same bits in every order", "[.][device][small]") {
    ModelConfig model = small_model();
    model.width = 16, model.context = 4;
    for_every_setting([&](const MixerConfig& mixer, const MixerInfo&) {
        std::vector<double> first;
        in_every_order([&] {
            const std::vector<double> got = dropped_steps(mixer, "bf16", model);
            if (first.empty()) first = got;
            CHECK((got == first));  // not shown: thousands of numbers
        });
    });
}

TEST_CASE("two trainers that step in turn do as each alone", "[device][train]") {
    const auto make = [](const char* mixer) {
        return tiny_trainer(mixer_config(mixer), small_train(), small_model(), nullptr, 1,
                            Device::cuda);
    };
    TinyTrainer a = make("standard"), b = make("denseformer");
    std::vector<double> of_a, of_b;
    for (long s = 0; s < 4; ++s) of_a.push_back(a.step(s).loss), of_b.push_back(b.step(s).loss);
    of_a.push_back(a.trainer->evaluate(a.ctx)), of_b.push_back(b.trainer->evaluate(b.ctx));
    CHECK(of_a == losses(Device::cuda, mixer_config("standard"), small_train(), 4));
    CHECK(of_b == losses(Device::cuda, mixer_config("denseformer"), small_train(), 4));
}

TEST_CASE("training repeats itself bit by bit on a device, with Muon too", "[device][train]") {
    for (const std::string optimizer : {"adamw", "muon"}) {
        TrainConfig train = small_train();
        train.optimizer = optimizer;
        const auto once = losses(Device::cuda, mixer_config("standard"), train, 4);
        CHECK(losses(Device::cuda, mixer_config("standard"), train, 4) == once);
        CHECK(worst_difference(once, losses(Device::cpu, mixer_config("standard"), train, 4)) <=
              1e-5);
    }
}
