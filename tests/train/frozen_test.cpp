// What of a mixer is not trained (mixer.freeze), and how fast the rest is (mixer.lr_scale).
#include "catch.h"
#include "support/tiny_trainer.h"

#include <cstring>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("attention residuals with frozen zero queries train as the standard network", "[train]") {
    TinyTrainer standard = tiny_trainer("standard");
    std::vector<StepResult> want;
    for (long s = 0; s < 20; ++s) want.push_back(standard.step(s));
    const double loss = standard.trainer->evaluate_split(standard.ctx).loss;
    for (MixerConfig mixer : {mixer_config("attnres", {}), mixer_config("attnres_block", {}),
                              mixer_config("attnres_block", {"block_size=3"})}) {
        INFO(mixer.name << " " << mixer.integer("block_size"));
        TinyTrainer trained = tiny_trainer(mixer);
        mixer.freeze = {"query"};
        TinyTrainer frozen = tiny_trainer(mixer);
        for (long s = 0; s < 20; ++s) {
            const StepResult r = frozen.step(s);
            trained.step(s);
            const auto k = static_cast<std::size_t>(s);
            CHECK(r.loss == Approx(want[k].loss).epsilon(2e-6));
            CHECK(r.grad_norm == Approx(want[k].grad_norm).epsilon(1e-4));
        }
        CHECK(frozen.trainer->evaluate_split(frozen.ctx).loss == Approx(loss).epsilon(2e-6));
        CHECK(trained.trainer->evaluate_split(trained.ctx).loss != Approx(loss).epsilon(1e-4));
    }
}

TEST_CASE("frozen parameters stay as they are, to the bit, and the others do not", "[train]") {
    for (const MixerInfo& info : mixers()) {
        // rezero frozen where it starts lets no sublayer in.
        MixerConfig config =
            mixer_config(info.name, info.name == "rezero" ? Words{"gain_init=0.5"} : Words{});
        TinyTrainer probe = tiny_trainer(config);
        for (const ParamSpec& s : probe.params().specs())
            if (s.group == Group::mixer) {
                config.freeze = {s.name.substr(s.name.find(".mixer.") + 7)};
                break;
            }
        if (config.freeze.empty()) continue;
        INFO(info.name << ", frozen: " << config.freeze.front());
        TinyTrainer t = tiny_trainer(config);
        const std::vector<float> before = t.params().values();
        for (long s = 0; s < 3; ++s) t.step(s);
        for (Index i = 0; i < std::ssize(t.params().specs()); ++i) {
            const ParamSpec& s = t.params().specs()[static_cast<std::size_t>(i)];
            const bool same = std::memcmp(before.data() + s.offset, t.params().value({i}).data,
                                          4 * static_cast<std::size_t>(s.shape.count())) == 0;
            if (s.name.ends_with(".mixer." + config.freeze.front())) {
                CHECK(same);
                CHECK(t.trainer->optimizer().state().view("m." + s.name).data[0] == 0);
            } else if (s.group == Group::model) {
                CHECK_FALSE(same);
            }
        }
    }
}

TEST_CASE("a kind that the mixer does not have cannot be frozen", "[train]") {
    MixerConfig config = mixer_config("highway", {});
    config.freeze = {"gate.bias", "query"};
    CHECK_THROWS_WITH(tiny_trainer(config), contains_text("highway has no parameters 'query'") &&
                                                contains_text("gate.weight, gate.bias"));
    config = mixer_config("standard", {});
    config.freeze = {"query"};
    CHECK_THROWS_WITH(tiny_trainer(config), contains_text("none at all"));
}

TEST_CASE("lr_scale is the rate of the mixer's parameters alone", "[train]") {
    // The first step of AdamW moves a number by lr g / (|g| + eps), eps against the clipped g.
    TrainConfig train = tiny_train();
    train.adam_eps = 1e-30;
    MixerConfig config = mixer_config("attnres", {});
    TinyTrainer plain = tiny_trainer(config, train);
    config.lr_scale = 100;
    TinyTrainer fast = tiny_trainer(config, train);
    const std::vector<float> before = plain.params().values();
    plain.step(0), fast.step(0);
    const std::vector<float> of_plain = plain.params().values(), of_fast = fast.params().values();
    for (const ParamSpec& s : plain.params().specs())
        for (Index k = 0; k < s.shape.count(); ++k) {
            const auto i = static_cast<std::size_t>(s.offset + k);
            const float a = of_plain[i] - before[i], b = of_fast[i] - before[i];
            if (s.group == Group::model) CHECK(a == b);
            if (s.name.ends_with("query")) CHECK(b == Approx(100 * a).epsilon(1e-5));
        }
}
