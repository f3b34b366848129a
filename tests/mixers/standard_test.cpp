#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("standard: M is all ones below the diagonal", "[mixers]") {
    const auto stack = toy_stack<double>(mixer_config("standard"));
    stack->forward({});
    const std::vector<double> m = stack->matrix(0);
    for (std::size_t r = 0; r < 6; ++r)
        for (std::size_t i = 0; i < 6; ++i) CHECK(m[r * 6 + i] == (i <= r ? 1.0 : 0.0));
    CHECK(stack->params().n_params() == 0);
}
