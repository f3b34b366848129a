#include "mixers/memories/sources.h"

#include "check/compare.h"
#include "check/gradient_check.h"
#include "mixers/memories/averages.h"
#include "support/every_mixer.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

namespace {

using Weights = SourceKeys::Weights;

// A mixer on Sources or Averages, made with any size of groups.
struct Case {
    const char* mixer;
    std::vector<std::string> settings;
    int block_size;
    std::optional<SourceKeys> keys;
};

std::vector<Case> cases() {
    const auto keys = [](Weights weights, int heads, bool by_head, bool normed = true) {
        return SourceKeys{weights, normed, normed, heads, by_head};
    };
    return {
        {"attnres", {}, 1, keys(Weights::softmax, 1, false)},
        {"attnres_block", {"block_size=2"}, 2, keys(Weights::softmax, 1, false)},
        {"attnres_block", {"block_size=5"}, 5, keys(Weights::softmax, 1, false)},
        {"attnres_block", {"block_size=17"}, 17, keys(Weights::softmax, 1, false)},
        {"attnres", {"weights=sigmoid"}, 1, keys(Weights::sigmoid, 1, false)},
        {"attnres", {"weights=sigmoid_norm", "window=3"}, 1, keys(Weights::sigmoid_norm, 1, false)},
        {"attnres", {"window=1", "heads=3"}, 1, keys(Weights::softmax, 3, false)},
        {"attnres", {"key_norm=false"}, 1, keys(Weights::softmax, 1, false, false)},
        {"attnres_block",
         {"block_size=3", "heads=3", "head_norm=head", "weights=sigmoid"},
         3,
         keys(Weights::sigmoid, 3, true)},
        {"attnres_block",
         {"block_size=5", "heads=3", "weights=sigmoid_norm"},
         5,
         keys(Weights::sigmoid_norm, 3, false)},
        {"attnres", {"query=none", "window=2"}, 1, {}},
        {"attnres_block", {"query=none", "block_size=4", "weights=sigmoid_norm"}, 4, {}},
        {"static_mix", {}, 1, {}},
        {"static_mix", {"weights=raw"}, 1, {}},
        {"denseformer", {}, 0, {}},
        {"denseformer", {"dilation=2"}, 0, {}},
        {"denseformer", {"period=3"}, 0, {}},
        {"denseformer", {"dilation=3", "period=2"}, 0, {}},
    };
}

ToyStack<double> grouped(const Case& c, const MixerShape& shape, DepthSchedule::Sizes groups) {
    RulePtr rule = make_rule(mixer_config(c.mixer, c.settings), shape);
    std::unique_ptr<DepthMixer<double>> mixer;
    if (c.block_size == 0)
        mixer = std::make_unique<Averages<double>>(std::move(rule), groups);
    else
        mixer = std::make_unique<Sources<double>>(
            SourceRule{std::move(rule), c.block_size, c.keys, groups});
    ToyStack<double> stack(std::move(mixer));
    perturb(stack.params(), 0.3, 2);
    return stack;
}

}  // namespace

// What a read is mixed of in one go, and when, must not change it: groups of one are the definition
// read off site by site, which reference_test.cpp holds against the rule.
TEST_CASE("sources: groups of sites and of sources change nothing but rounding", "[mixers]") {
    // Blocks shorter than groups, longer, and cut in two; groups that end with a rest; a chunk of
    // tokens and a rest.
    for (const int sublayers : {17, 24}) {
        const MixerShape shape{sublayers, kTokenChunk + 3, 9, 1e-6};
        for (const Case& c : cases()) {
            INFO(c.mixer << " " << fmt::format("{}", fmt::join(c.settings, " ")));
            ToyStack<double> one = grouped(c, shape, {1, 1});
            const double loss = one.forward({});
            one.backward({});
            for (const auto& [reads, pulls] : {std::pair{0, 0},
                                               {1, 2},
                                               {1, 7},
                                               {3, 1},
                                               {3, 2},
                                               {3, 7},
                                               {5, 8},
                                               {8, 1},
                                               {8, 2},
                                               {8, 7}}) {
                INFO("groups of " << reads << " and " << pulls);
                ToyStack<double> stack = grouped(c, shape, {reads, pulls});
                CHECK(std::abs(stack.forward({}) - loss) <= 1e-12 * std::abs(loss));
                CHECK(matrix_error(stack) <= 1e-13);
                stack.backward({});
                CHECK(relative_error(numbers(stack.dinput()), numbers(one.dinput())) <= 1e-12);
                CHECK(relative_error(numbers(stack.params().flat_grads()),
                                     numbers(one.params().flat_grads())) <= 1e-12);
            }
        }
    }
}

TEST_CASE("attnres: gradients across groups match central differences", "[mixers]") {
    for (const int block_size : {1, 3}) {
        const Case c{
            "attnres_block", {fmt::format("block_size={}", block_size)}, block_size, SourceKeys{}};
        ToyStack<double> stack = grouped(c, {10, 2, 5, 1e-6}, {3, 2});
        const GradientError error = check_gradients(stack);
        INFO("block size " << block_size << ", worst: " << error.where);
        CHECK(error.worst <= 1e-7);
    }
}
