#include "mixers/memories/sources.h"

#include "check/compare.h"
#include "support/every_mixer.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("attnres: every row of M is a softmax", "[mixers]") {
    const auto stack = toy_stack<double>(mixer_config("attnres"), {6, 3, 7, 1e-6});
    stack->forward({});
    for (Index token = 0; token < 3; ++token) {
        const std::vector<double> m = stack->matrix(token);
        for (std::size_t r = 0; r < 7; ++r) {
            double sum = 0;
            for (std::size_t i = 0; i <= r; ++i) {
                CHECK(m[r * 7 + i] > 0);
                sum += m[r * 7 + i];
            }
            CHECK(std::abs(sum - 1) <= 1e-14);
        }
    }
}

TEST_CASE("attnres: weights are softmax <query, RMSNorm(v, gain)>, without 1/sqrt(C)", "[mixers]") {
    const auto stack = toy_stack<double>(mixer_config("attnres"), {3, 2, 5, 1e-6});
    stack->forward({});
    const std::vector<double> m = stack->matrix(1);
    const auto param = [&](const char* name) {
        return stack->params()
            .value(stack->params().find(std::string("output.mixer.") + name))
            .data;
    };
    const double *query = param("query"), *gain = param("key_gain");
    double weights[4], sum = 0;
    for (int i = 0; i <= 3; ++i) {
        const double* v = stack->output(i).row(1);
        double square = 0, score = 0;
        for (int c = 0; c < 5; ++c) square += v[c] * v[c], score += query[c] * gain[c] * v[c];
        sum += weights[i] = std::exp(score / std::sqrt(square / 5 + 1e-6));
    }
    for (int i = 0; i <= 3; ++i)
        CHECK(std::abs(m[static_cast<std::size_t>(12 + i)] - weights[i] / sum) <= 1e-14);
}

TEST_CASE("attnres_block: block size 1 is attnres for any queries", "[mixers]") {
    const MixerShape shape{6, 3, 7, 1e-6};
    const auto full = toy_stack<double>(mixer_config("attnres"), shape);
    const auto block = toy_stack<double>(mixer_config("attnres_block", {"block_size=1"}), shape);
    CHECK(full->forward({}) == block->forward({}));
    full->backward({});
    block->backward({});
    CHECK(full->params().grads() == block->params().grads());
}

TEST_CASE("attnres_block: members of a block share a weight", "[mixers]") {
    // L = 7, blocks {1,2,3} {4,5,6} {7}: what is read is v_0, completed sums and the running sum.
    const auto stack =
        toy_stack<double>(mixer_config("attnres_block", {"block_size=3"}), {7, 2, 5, 1e-6});
    stack->forward({});
    const std::vector<double> m = stack->matrix(0);
    const auto at = [&](std::size_t l, std::size_t i) { return m[(l - 1) * 8 + i]; };
    for (std::size_t l = 1; l <= 8; ++l) {
        const auto block_of = [](std::size_t i) { return (i + 2) / 3; };
        double sum = 0;
        for (std::size_t i = 0; i < l; ++i) {
            if (i > 0 && block_of(i) == block_of(i - 1))
                CHECK(at(l, i) == at(l, i - 1));
            else
                sum += at(l, i);
        }
        CHECK(std::abs(sum - 1) <= 1e-14);
    }
}

TEST_CASE(
    "attnres_block: n_blocks is ceil(L / n) sublayers a block, eight by "
    "default",
    "[mixers]") {
    const auto loss = [](const std::vector<std::string>& settings) {
        return toy_stack<double>(mixer_config("attnres_block", settings), {18, 2, 5, 1e-6})
            ->forward({});
    };
    CHECK(loss({"n_blocks=4"}) == loss({"block_size=5"}));
    CHECK(loss({}) == loss({"block_size=3"}));
    CHECK(loss({"n_blocks=4"}) != loss({"block_size=4"}));
}

TEST_CASE("attnres_block: impossible blocks are refused by name", "[mixers]") {
    MixerConfig config = mixer_config("attnres_block");
    const auto refused = [&](long size, long n, const char* text) {
        config.set("block_size", size), config.set("n_blocks", n);
        CHECK_THROWS_WITH(make_mixer<double>(config, {4, 1, 3, 1e-6}), contains_text(text));
    };
    refused(2, 2, "exclude each other");
    refused(5, 0, "4 sublayers");
    refused(0, 5, "4 sublayers");
    refused(-1, 0, "mixer.block_size");
}

// In one block the gradient of v_l is a running sum over later reads, with zero queries of half of
// each D (two sources share a read evenly). Parts too small to change a bf16 sum one by one must
// still add up: the sum is carried in float.
TEST_CASE("attnres_block in bf16 loses no small gradient within a block", "[mixers]") {
    constexpr int kL = 40;
    constexpr float kLarge = 4.0F, kSmall = 0x1p-8F;  // half of it is a quarter of an ulp of 2
    const MixerShape shape{kL, 2, 8, 1e-6};
    const auto mixer =
        make_mixer<Bf16>(mixer_config("attnres_block", {fmt::format("block_size={}", kL)}), shape);
    Plan plan;
    ParamStore<float> params;
    mixer->declare(plan, params);
    params.allocate(1);
    const Frame frame(std::move(plan), params);
    const Context ctx = Context{}.in(frame);
    std::vector<Array<Bf16>> x(kL + 1, Array<Bf16>({{'N', 2}, {'C', 8}}, Bf16(0.0F)));
    const auto raw = [&](int l, float d) {
        static Array<Bf16> dx({{'N', 2}, {'C', 8}}, Bf16(0.0F));
        std::fill_n(dx.values().data(), dx.size(), Bf16(d));
        PreNorm<Bf16> norm;
        norm.xhat = x[static_cast<std::size_t>(l - 1)].view(), norm.dx = dx;
        return norm;
    };
    for (int l = 0; l <= kL; ++l) {
        const View<Bf16> v = mixer->slot(ctx, l);
        std::fill_n(v.data, v.count(), Bf16(1.0F));
        if (l == 0) mixer->begin(ctx);
        if (l > 0) mixer->write(ctx, l);
        mixer->read(ctx, l + 1, raw(l + 1, 0));
    }
    mixer->read_backward(ctx, kL + 1, raw(kL + 1, kLarge));
    for (int l = kL; l >= 1; --l) {
        const float want = kLarge / 2 + static_cast<float>(kL - l) * kSmall / 2;
        INFO("v_" << l);
        CHECK(std::abs(float(mixer->write_backward(ctx, l).data[0]) - want) <=
              want * kBf16Epsilon / 2);
        mixer->read_backward(ctx, l, raw(l, kSmall));
    }
}
