// Several passes between forward and backward at once, each in a frame of its own.
#include "check/tiny_model.h"
#include "core/rng.h"
#include "model/interventions.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

template <class Real>
void load(const Model<Real>& model, const Frame& frame, std::uint64_t seed) {
    const CounterRng rng(seed, "frames_test");
    const View<std::int32_t> tokens = model.tokens(&frame), targets = model.targets(&frame);
    for (Index i = 0; i < tokens.count(); ++i) {
        const auto k = static_cast<std::uint64_t>(i);
        tokens.data[i] = static_cast<std::int32_t>(rng.uniform(2 * k) * kTinyVocab);
        targets.data[i] = static_cast<std::int32_t>(rng.uniform(2 * k + 1) * kTinyVocab);
    }
}

// A micro-batch: its tokens are loaded in `frame`.
struct Pass {
    const Frame& frame;
    DropoutKey key;
};

// Everything of the last forward that can be looked at.
template <class Real>
std::vector<Real> seen(Model<Real>& model, const Frame& frame) {
    std::vector<Real> all;
    const auto append = [&](View<const Real> x) {
        all.insert(all.end(), x.data, x.data + x.count());
    };
    append(model.logits(&frame));
    append(model.token_losses(&frame));
    for (Index n = 0; n < model.tokens().count(); n += 7) {
        const std::vector<Real> m = depth_matrix(Context{}.in(frame), model.mixer(), n);
        all.insert(all.end(), m.begin(), m.end());
    }
    all.push_back(static_cast<Real>(model.overflowed_read(&frame)));
    return all;
}

// Gradients of two micro-batches: one after the other, or both forward before both backward. `left`
// is what can be seen before each backward.
template <class Real>
std::vector<Real> gradients(Model<Real>& model, const Pass& a, const Pass& b, bool in_flight,
                            std::vector<std::vector<Real>>& left) {
    const auto forward = [&](const Pass& p) {
        left.push_back({static_cast<Real>(model.forward(Context{}.in(p.frame), nullptr, p.key))});
    };
    const auto backward = [&](const Pass& p, Real scale) {
        left.push_back(seen(model, p.frame));
        model.backward(Context{}.in(p.frame), scale);
    };
    model.params().zero_grad();
    forward(a);
    if (in_flight) forward(b);
    backward(a, Real(0.5));
    if (!in_flight) forward(b);
    backward(b, Real(0.25));
    if (in_flight) std::swap(left[1], left[2]);
    return model.params().grads();
}

template <class T>
void check_two_frames(const MixerConfig& config) {
    ModelConfig shape = tiny_config();
    shape.dropout = 0.1;
    shape.context = 40;  // more than one chunk of tokens
    const auto model = tiny_model<T>(config, 1, shape);
    perturb(model->params(), 0.2, 2);
    const auto second = model->make_frame();
    const Pass a{model->frame(), {1, 2}}, b{*second, {1, 3}};
    load(*model, a.frame, 1), load(*model, b.frame, 2);
    std::vector<std::vector<RealOf<T>>> apart, together;
    const auto want = gradients(*model, a, b, false, apart);
    const auto got = gradients(*model, a, b, true, together);
    CHECK(apart == together);
    CHECK(apart[0] != apart[2]);
    CHECK(want == got);

    // And both in one frame, as without frames.
    const Pass reused{model->frame(), b.key};
    model->params().zero_grad();
    model->forward({}, nullptr, a.key);
    model->backward({}, RealOf<T>(0.5));
    load(*model, reused.frame, 2);
    model->forward({}, nullptr, reused.key);
    model->backward({}, RealOf<T>(0.25));
    CHECK(want == model->params().grads());
}

}  // namespace

TEMPLATE_TEST_CASE("two passes in flight give the bits of one after the other", "[model]", float,
                   double, Bf16) {
    for_every_setting(
        [](const MixerConfig& config, const MixerInfo&) { check_two_frames<TestType>(config); });
}

TEST_CASE("what a forward was told holds in its frame alone", "[model]") {
    const auto model = tiny_model<double>(mixer_config("attnres"));
    const auto other = model->make_frame();
    load(*model, *other, 3);
    const Context there = Context{}.in(*other);
    Interventions drop(model->sublayers());
    add_drop(drop, "1");
    model->forward({});
    model->intervene(&drop);
    model->forward(there);
    model->intervene(nullptr);
    CHECK_THROWS_AS(model->backward(there), InternalError);  // still
    CHECK_NOTHROW(model->backward({}));
    CHECK_THROWS_AS(model->backward({}), InternalError);  // once a forward
}

TEST_CASE("a model refuses another model's frame, and work before allocate()", "[model]") {
    const auto a = tiny_model<float>(mixer_config("standard")),
               b = tiny_model<float>(mixer_config("standard"));
    CHECK_THROWS_WITH(a->forward(Context{}.in(b->frame())), contains_text("another plan"));
    CHECK_THROWS_WITH(a->tokens(&b->frame()), contains_text("another plan"));
    Transformer<float> none({tiny_config(), mixer_config("standard"), kTinyVocab, kTinyBatch});
    CHECK_THROWS_WITH(none.forward({}), contains_text("before allocate()"));
    CHECK_THROWS_AS(none.make_frame(), InternalError);
}
