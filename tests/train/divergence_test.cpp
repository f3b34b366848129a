// When training has diverged, and what is said then.
#include "catch.h"
#include "support/tiny_trainer.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("a step that meets a NaN names it and leaves the parameters", "[train]") {
    constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
    for (const char* name :
         {"layer.1.attn.qkv.weight", "layer.0.mlp.norm.gain", "layer.1.attn.mixer.query"}) {
        TinyTrainer t = tiny_trainer("attnres");
        t.step(0);
        t.trainer->check_parameters(1);
        t.params().value(t.params().find(name)).data[0] = kNaN;
        const std::vector<float> before = t.params().values();
        CHECK_THROWS_WITH(t.step(1), contains_text("step 1: loss is nan") && contains_text(name));
        CHECK_THROWS_AS(t.step(1), Diverged);
        CHECK(std::memcmp(before.data(), t.params().values().data(), 4 * before.size()) == 0);
        CHECK_THROWS_WITH(t.trainer->check_parameters(1), contains_text(name));
    }
}

TEST_CASE("a loss beyond all measure is divergence", "[train]") {
    TinyTrainer t = tiny_trainer("standard");
    const View<float> gain = t.params().value(t.params().find("output.norm.gain"));
    std::fill_n(gain.data, gain.count(), 1e5f);
    CHECK_THROWS_WITH(t.step(0),
                      contains_text("step 0: loss is") && contains_text("all tensors are finite"));
    std::fill_n(gain.data, gain.count(), 3e38f);
    CHECK_THROWS_WITH(t.step(0), contains_text("not finite: logits"));
}

TEST_CASE("a gradient norm beyond all measure is divergence, and is never taken", "[train]") {
    ModelConfig model = tiny_model_config();
    model.tied_head = false;
    for (const OptimizerInfo& info : optimizers())
        for (const double clip : {0.0, 1.0}) {
            INFO(info.name << ", clip " << clip);
            TrainConfig train = tiny_train();
            train.optimizer = info.name, train.clip = clip;
            TinyTrainer t = tiny_trainer("standard", train, model),
                        undisturbed = tiny_trainer("standard", train, model);
            t.step(0), undisturbed.step(0);
            const std::vector<float> good = t.params().values();
            // Logits stay as they are; the head's gradients are so large that their squares are
            // not finite.
            const auto scale = [&](const char* name, float by) {
                const View<float> x = t.params().value(t.params().find(name));
                for (Index i = 0; i < x.count(); ++i) x.data[i] *= by;
            };
            scale("output.norm.gain", 1e24f), scale("head.weight", 1e-24f);
            const std::vector<float> before = t.params().values();
            CHECK_THROWS_WITH(t.step(1), contains_text("step 1: gradient norm is inf"));
            CHECK(std::memcmp(before.data(), t.params().values().data(), 4 * before.size()) == 0);
            // Nor has the optimizer's state seen it: the step can be made.
            std::copy(good.begin(), good.end(), t.params().flat_values().data);
            t.step(1), undisturbed.step(1);
            CHECK((t.params().values() == undisturbed.params().values()));
        }
}

TEST_CASE("the divergence limit is a setting", "[train]") {
    for (const auto& [limit, diverges] : {std::pair{0.5, true}, {1.5, false}, {0.0, false}}) {
        TrainConfig train = tiny_train();
        train.divergence_limit = limit;
        TinyTrainer t = tiny_trainer("standard", train);
        INFO(limit);
        if (diverges)
            CHECK_THROWS_WITH(t.step(0), contains_text("exceeds 0.5 ln(vocabulary)"));
        else
            CHECK_NOTHROW(t.step(0));
    }
}

TEST_CASE("a read that overflows its norm is divergence, in training and in validation",
          "[train]") {
    for (const char* precision : {"fp32", "bf16"}) {
        TrainConfig train = tiny_train();
        train.precision = precision;
        TinyTrainer t = tiny_trainer("standard", train);
        t.step(0);
        CHECK(t.trainer->model().overflowed_read() == 0);
        const View<float> embed = t.params().value(t.params().find("embed.weight"));
        for (Index i = 0; i < embed.count(); ++i) embed.data[i] *= 1e22f;  // its square overflows
        CHECK_THROWS_WITH(t.step(0), contains_text("what layer.0.attn reads") &&
                                         contains_text("overflows in its norm"));
        CHECK(std::isnan(t.trainer->evaluate(t.ctx)));
        CHECK(std::isnan(t.trainer->evaluate_split(t.ctx).loss));
        CHECK_THROWS_WITH(t.trainer->diverged(t.ctx, 3, "the validation loss", -NAN),
                          contains_text("the validation loss is nan") && contains_text("train.lr"));
    }
}
