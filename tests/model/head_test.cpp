// The head some tokens at a time against all at once, when it takes its gradients, and what it
// plans.
#include "catch.h"
#include "check/compare.h"
#include "check/tiny_model.h"
#include "check/toy_stack.h"
#include "core/rng.h"
#include "model/interventions.h"
#include "support/tiny_trainer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// 160 tokens, of which every fifth is not scored, and the last two chunks of 16 not at all.
constexpr Index kPositions = 80, kScored = 128;

template <class T>
std::unique_ptr<Transformer<T>> model_of(Index head_tokens, bool tied = true) {
    ModelConfig config = tiny_config();
    config.context = kPositions;
    config.tied_head = tied;
    auto m = std::make_unique<Transformer<T>>(
        TransformerShape{config, mixer_config("standard"), kTinyVocab, kTinyBatch, 2, head_tokens});
    m->allocate(1);
    perturb(m->params(), 0.1, 2);
    const CounterRng rng(1, "head_test");
    for (Index n = 0; n < m->tokens().count(); ++n) {
        const auto k = static_cast<std::uint64_t>(n);
        m->tokens().data[n] = static_cast<std::int32_t>(rng.below(2 * k, kTinyVocab));
        m->targets().data[n] = n % 5 == 4 || n >= kScored
                                   ? -1
                                   : static_cast<std::int32_t>(rng.below(2 * k + 1, kTinyVocab));
    }
    return m;
}

// Gradients of two micro-batches of the same tokens, of which forward is told, or not.
template <class T>
double pass(Transformer<T>& model, bool told, const Context& ctx = {}) {
    const RealOf<T> scale = RealOf<T>(0.25);
    double loss = 0;
    model.params().zero_grad();
    for (int i = 0; i < 2; ++i) {
        loss = told ? model.forward(ctx, nullptr, {}, scale) : model.forward(ctx);
        model.backward(ctx, scale);
    }
    return loss;
}

}  // namespace

TEST_CASE("the head some tokens at a time gives what it gives of all at once", "[model]") {
    for (const bool tied : {true, false}) {
        const auto whole = model_of<double>(0, tied);
        const double want = pass(*whole, false);
        for (const Index tokens : {1, 16, 67, 159, 160, 1000})
            for (const bool told : {true, false}) {
                INFO(tokens << " at a time" << (told ? ", told" : "") << (tied ? ", tied" : ""));
                const auto model = model_of<double>(tokens, tied);
                CHECK(std::abs(pass(*model, told) - want) <= 1e-12);
                CHECK(relative_error(numbers(model->token_losses()),
                                     numbers(whole->token_losses())) <= 1e-12);
                for (const ParamSpec& spec : whole->params().specs()) {
                    const ParamId id = whole->params().find(spec.name);
                    INFO(spec.name);
                    CHECK(relative_error(numbers(model->params().grad(id)),
                                         numbers(whole->params().grad(id))) <= 1e-12);
                }
            }
    }
}

template <class T>
std::vector<float> gradients_with(int threads) {
    const Context ctx{Device::cpu, threads};
    set_up_threads(ctx);
    const auto model = model_of<T>(67);
    pass(*model, true, ctx);
    return model->params().grads();
}

TEST_CASE("one and two threads give the same bits, some tokens at a time", "[model]") {
    CHECK((gradients_with<float>(1) == gradients_with<float>(2)));
    CHECK((gradients_with<Bf16>(1) == gradients_with<Bf16>(2)));
}

TEST_CASE("a forward that knows backward's scale takes the head's gradients, for it alone",
          "[model]") {
    const auto model = model_of<double>(16, false);
    const View<double> dw = model->params().grad(model->params().find("head.weight"));
    const auto taken = [&] {
        return std::any_of(dw.data, dw.data + dw.count(), [](double x) { return x != 0; });
    };
    model->params().zero_grad();
    model->forward({});
    CHECK_FALSE(taken());
    model->forward({}, nullptr, {}, 2.0);
    CHECK(taken());
    CHECK_THROWS_WITH(model->backward({}, 1.0), contains_text("another scale"));
    CHECK_NOTHROW(model->backward({}, 2.0));

    Interventions drop(model->layout());
    add_drop(drop, "1");
    model->intervene(&drop);
    CHECK_THROWS_WITH(model->forward({}, nullptr, {}, 2.0), contains_text("interventions"));
}

TEST_CASE("logits are there to be read where the head works on all tokens at once", "[model]") {
    const auto some = model_of<double>(159), all = model_of<double>(160);
    some->forward({}), all->forward({});
    CHECK(all->logits().extent(0) == 160);
    CHECK_THROWS_WITH(some->logits(), contains_text("some tokens at a time"));
}

namespace {

// Bytes of a training step of the default model, `width` 128, and the part of a vocabulary's table:
// its values, gradients and moments.
struct Planned {
    double frame, all, table;
};
Planned planned(long vocab, long batch, const std::string& precision = "fp32") {
    DataConfig data;
    data.task = "copy";
    data.options.set("task_vocab", vocab - 1);  // and the separator
    const ModelConfig model;
    REQUIRE(model.width == 128);
    TrainConfig train;
    train.batch = batch;
    train.precision = precision;
    const auto opened = open_dataset(data, model.context);
    REQUIRE(opened->vocab() == vocab);
    const Trainer trainer(TransformerShape{model, mixer_config("standard"), vocab, batch, 1}, train,
                          *opened);
    return {static_cast<double>(trainer.model().plan().total_bytes()), trainer.planned_bytes(),
            4.0 * sizeof(float) * static_cast<double>(vocab * model.width)};
}

}  // namespace

TEST_CASE("a vocabulary of 50,304 trains within twice the memory of one of 256", "[model]") {
    // All but the table's own values, gradients and moments; 1,024 tokens, the default.
    const Planned small = planned(256, 8), large = planned(50304, 8);
    INFO("frame " << small.frame / 1e6 << " MB, " << large.frame / 1e6 << " MB");
    CHECK(large.frame <= 2 * small.frame);
    CHECK(large.all - large.table <= 2 * (small.all - small.table));
    // Everything, where tokens are enough for the table not to be most of it.
    CHECK(planned(50304, 32).all <= 2 * planned(256, 32).all);
    // What is planned for logits does not grow with the tokens.
    const auto logits = [](long batch) {
        return planned(50304, batch).frame - planned(256, batch).frame;
    };
    CHECK(logits(64) <= logits(8));
}
