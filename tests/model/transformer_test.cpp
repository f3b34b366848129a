// The model with every mixer: causality, paired initial values, no parameter left behind.
#include "check/tiny_model.h"
#include "core/rng.h"
#include "support/every_mixer.h"
#include "support/param_gradients.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("changing a token changes no logit before it", "[model]") {
    for_every_setting(
        [](const MixerConfig& config, const MixerInfo&) { CHECK(causality_error(config) == 0); });
}

TEST_CASE("the same seed gives the same initial values of shared parameters", "[model]") {
    const auto standard = tiny_model<float>(mixer_config("standard"), 5);
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto model = tiny_model<float>(config, 5);
        std::size_t n_shared = 0;
        for (const ParamSpec& spec : model->params().specs()) {
            if (spec.group == Group::mixer) {
                CHECK(spec.name.find(".mixer.") != std::string::npos);
                continue;
            }
            const auto a = numbers(model->params().value(model->params().find(spec.name)));
            INFO(spec.name);
            if (spec.name.find(".attn.norm_") != std::string::npos) {  // of a way of its own
                CHECK(std::all_of(a.begin(), a.end(), [](float gain) { return gain == 1; }));
                continue;
            }
            ++n_shared;
            const auto b = numbers(standard->params().value(standard->params().find(spec.name)));
            CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
        }
        CHECK(n_shared == standard->params().specs().size());
    });
}

TEST_CASE("every number of every parameter receives a gradient", "[model]") {
    for_every_setting([](const MixerConfig& config, const MixerInfo& info) {
        const auto model = tiny_model<double>(config);
        auto& params = model->params();
        perturb(params, 0.2, 2);
        model->forward({});
        model->backward({});
        for (const ParamSpec& spec : params.specs()) {
            const auto grad = numbers(params.grad(params.find(spec.name)));
            std::size_t n_zero = 0;
            for (const double g : grad) n_zero += !(std::abs(g) > 0);
            // One stream: R is the number 1, so its row of phi, its bias and its scale stay.
            std::size_t expected = 0;
            if (info.name.starts_with("mhc") && config.integer("streams") == 1 &&
                spec.group == Group::mixer)
                expected = spec.name.ends_with(".phi") ? grad.size() / 3 : 1;
            INFO(spec.name);
            CHECK(n_zero == expected);
        }
    });
}

TEST_CASE("no parameter stays at its initial value", "[model]") {
    for_every_setting([](const MixerConfig& config, const MixerInfo&) {
        const std::vector<std::string> names = unmoved_parameters(config);
        INFO(fmt::format("{}", fmt::join(names, " ")));
        CHECK(names.empty());
    });
    // At the first step zero queries leave key gains where they are: the check sees that.
    CHECK(unmoved_parameters(mixer_config("attnres"), 1).size() == 4);
}

TEST_CASE("float follows double in the whole model", "[model]") {
    for_every_setting([](const MixerConfig& config, const MixerInfo&) {
        CHECK(float_error(config) <= 1e3 * std::numeric_limits<float>::epsilon());
    });
}

TEST_CASE("bf16 follows double in the whole model", "[model]") {
    for_every_setting([](const MixerConfig& config, const MixerInfo&) {
        const double error = bf16_error(config);
        CHECK(error <= kBf16Limit);
        CHECK(error >= 1e-4);  // bf16 it is
    });
}

template <class T>
std::vector<float> gradients_with(int threads, const MixerConfig& config,
                                  const ModelConfig& shape) {
    const Context ctx{Device::cpu, threads};
    set_up_threads(ctx);
    const auto model = tiny_model<T>(config, 1, shape);
    perturb(model->params(), 0.1, 2);
    model->forward(ctx, nullptr, DropoutKey{1, 2});
    model->backward(ctx);
    return model->params().grads();
}

TEST_CASE("one and two threads give the same bits in the whole model", "[model]") {
    ModelConfig shape = tiny_config();
    shape.width = 64;
    shape.context = 70;  // more than one tile of queries, and of tokens
    shape.dropout = 0.1;
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        CHECK((gradients_with<float>(1, config, shape) == gradients_with<float>(2, config, shape)));
        CHECK((gradients_with<Bf16>(1, config, shape) == gradients_with<Bf16>(2, config, shape)));
    });
}

TEST_CASE("dropout draws by its key, and its gradients match central differences", "[model]") {
    ModelConfig config = tiny_config(1e-6);
    const auto plain = tiny_model<double>(mixer_config("attnres"), 1, config);
    config.dropout = 0.3;
    const auto model = tiny_model<double>(mixer_config("attnres"), 1, config);
    auto& params = model->params();
    perturb(params, 0.2, 2);
    perturb(plain->params(), 0.2, 2);
    CHECK(model->forward({}) == plain->forward({}));  // no key, nothing dropped
    const DropoutKey key{1, 7};
    const double loss = model->forward({}, nullptr, key);
    CHECK(loss != plain->forward({}));
    CHECK(model->forward({}, nullptr, DropoutKey{1, 8}) != loss);
    CHECK(model->forward({}, nullptr, DropoutKey{2, 7}) != loss);
    CHECK(model->forward({}, nullptr, key) == loss);
    model->backward({});
    check_param_gradients(params, [&] { return model->forward({}, nullptr, key); });
}

TEST_CASE("model gradients match central differences", "[model]") {
    // Independent of the fixtures: options they do not combine, samples of every parameter.
    for (const bool gelu : {false, true}) {
        ModelConfig config = tiny_config(1e-6);
        config.mlp = gelu ? "gelu" : "swiglu";
        config.tied_head = !gelu;
        config.qk_norm = !gelu;
        config.kv_heads = 1;
        const auto model = tiny_model<double>(mixer_config("attnres"), 1, config);
        auto& params = model->params();
        perturb(params, 0.2, 2);
        model->forward({});
        model->backward({}, 3.0);
        check_param_gradients(params, [&] { return 3 * model->forward({}); });
    }
}

TEST_CASE("gradients add up over passes, and targets of -1 are not scored", "[model]") {
    const auto model = tiny_model<double>(mixer_config("standard"));
    model->forward({});
    model->backward({});
    std::vector<double> once = model->params().grads();
    model->forward({});
    model->backward({}, 2.0);
    for (double& x : once) x *= 3;
    CHECK(relative_error(numbers(model->params().flat_grads()), std::span(once)) <= 1e-13);
    const double loss = model->forward({});
    double sum = 0, n = 0;
    for (Index i = 0; i < model->targets().count(); ++i) {
        if (model->targets().data[i] < 0)
            CHECK(model->token_losses().data[i] == 0);
        else
            sum += model->token_losses().data[i], ++n;
    }
    CHECK(n == 16);  // of 20
    CHECK(std::abs(loss - sum / n) <= 1e-14);
}

TEST_CASE("impossible models are refused by key", "[model]") {
    const auto refused = [](auto change, const char* key) {
        ModelConfig m = tiny_config();
        change(m);
        CHECK_THROWS_WITH(m.resolved(), contains_text(key));
    };
    refused([](ModelConfig& m) { m.heads = 5; }, "model.heads=5");
    refused([](ModelConfig& m) { m.kv_heads = 3; }, "model.kv_heads=3");
    refused([](ModelConfig& m) { m.width = 6; }, "model.head_dim=3");
    refused([](ModelConfig& m) { m.layers = 0; }, "model.layers=0");
    ModelConfig m;
    m.width = 100, m.heads = 5;
    CHECK(m.resolved().mlp_hidden == 272);  // 8/3 width, up to a multiple of 8
    m.mlp = "gelu";
    CHECK(m.resolved().mlp_hidden == 400);
}
