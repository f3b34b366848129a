#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("highway: every row of M is a convex combination", "[mixers]") {
    for (const char* gate : {"gate=scalar", "gate=vector", "gate=static"}) {
        const auto stack = toy_stack<double>(mixer_config("highway", {gate}), {6, 3, 7, 1e-6});
        stack->forward({});
        const auto g = static_cast<std::size_t>(stack->mixer().matrix_channels());
        CHECK(g == (gate == std::string("gate=vector") ? 7 : 1));
        const std::vector<double> m = stack->matrix(1);
        for (std::size_t r = 0; r < 7; ++r)
            for (std::size_t k = 0; k < g; ++k) {
                double sum = 0;
                for (std::size_t i = 0; i <= r; ++i) {
                    CHECK(m[(r * 7 + i) * g + k] > 0);
                    sum += m[(r * 7 + i) * g + k];
                }
                CHECK(std::abs(sum - 1) <= 1e-14);
            }
    }
}

TEST_CASE("highway: initial gates", "[mixers]") {
    const auto last_row = [](const std::vector<std::string>& settings) {
        ToyStack<double> stack(
            make_mixer<double>(mixer_config("highway", settings), {8, 1, 3, 1e-6}));
        stack.forward({});
        const std::vector<double> m = stack.matrix(0);
        return std::vector<double>(m.end() - 9, m.end());
    };
    // depth: t = 1/L, so (1 - 1/L)^L of the embedding reaches the output
    CHECK(std::abs(last_row({"gate_bias=depth"})[0] - std::pow(1 - 1.0 / 8, 8)) <= 1e-14);
    // uniform, the default: the mean of all outputs
    for (const double x : last_row({})) CHECK(std::abs(x - 1.0 / 9) <= 1e-14);
    CHECK(std::abs(last_row({"gate_bias=-3"})[8] - 1 / (1 + std::exp(3.0))) <= 1e-14);
}

TEST_CASE("highway: a bias that is no number is refused by name", "[mixers]") {
    MixerConfig config = mixer_config("highway");
    config.set("gate_bias", "deep");
    CHECK_THROWS_WITH(make_mixer<double>(config, {4, 1, 3, 1e-6}),
                      contains_text("gate_bias='deep'"));
}
