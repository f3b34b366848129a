#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("denseformer: parameters and initial M", "[mixers]") {
    ToyStack<double> stack(make_mixer<double>(mixer_config("denseformer"), {6, 2, 3, 1e-6}));
    stack.forward({});
    CHECK(stack.params().n_params() == 2 + 3 + 4);  // block k averages k + 1 sources
    const std::vector<double> m = stack.matrix(0);
    for (std::size_t r = 0; r < 7; ++r)
        for (std::size_t i = 0; i < 7; ++i) CHECK(m[r * 7 + i] == (i <= r ? 1.0 : 0.0));
}

TEST_CASE("denseformer: dilation and period choose the buckets", "[mixers]") {
    const auto names = [](const std::vector<std::string>& settings) {
        const auto stack =
            toy_stack<double>(mixer_config("denseformer", settings), {8, 1, 3, 1e-6});
        std::string text;
        for (const ParamSpec& s : stack->params().specs())
            text += fmt::format("{}:{} ", s.name.substr(6, 1), s.shape.count());
        return text;
    };
    CHECK(names({}) == "0:2 1:3 2:4 3:5 ");
    CHECK(names({"period=2"}) == "1:3 3:5 ");
    CHECK(names({"dilation=2"}) == "0:1 1:2 2:2 3:3 ");  // block k: sources j = k mod 2
    CHECK(names({"dilation=2", "period=2"}) == "1:2 3:3 ");
}

TEST_CASE("denseformer: an average beyond the blocks is refused", "[mixers]") {
    for (const char* setting : {"dilation=4", "period=4"})
        CHECK_THROWS_AS(make_mixer<double>(mixer_config("denseformer", {setting}), {6, 1, 3, 1e-6}),
                        UsageError);
}
