#include "check/compare.h"
#include "check/gradient_check.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

const MixerShape kMuddShape{6, 3, 7, 1e-6};

// Row l of M of a token, in one way.
std::vector<double> row(const ToyStack<double>& stack, Index token, int l, int way) {
    const std::vector<double> m = stack.matrix(token, way);
    const auto n = static_cast<std::ptrdiff_t>(kMuddShape.sublayers() + 1);
    return {m.begin() + (l - 1) * n, m.begin() + l * n};
}

}  // namespace

TEST_CASE("mudd: attention reads in three ways, MLP and output in one", "[mixers]") {
    for (const char* setting : {"hidden=6", "dynamic=false"}) {
        const auto stack = toy_stack<double>(mixer_config("mudd", {setting}), kMuddShape);
        stack->forward({});
        for (int l = 1; l <= 7; ++l) {
            const bool attention = l == 3 || l == 5;  // the first reads v_0 in all ways
            CHECK(stack->mixer().ways(l) == (l % 2 == 1 && l < 7 ? 3 : 1));
            const std::vector<double> q = row(*stack, 1, l, 0);
            for (const int way : {1, 2}) CHECK((row(*stack, 1, l, way) != q) == attention);
            CHECK((row(*stack, 1, l, 1) != row(*stack, 1, l, 2)) == attention);
        }
        CHECK(row(*stack, 0, 1, 2) == std::vector<double>{1, 0, 0, 0, 0, 0, 0});
    }
}

TEST_CASE("mudd: static averages give M in closed form", "[mixers]") {
    const auto stack = toy_stack<double>(mixer_config("mudd", {"dynamic=false"}), kMuddShape);
    stack->forward({});
    const auto bias = [&](int block, Index way, Index source) {
        const ParamId id = stack->params().find(fmt::format("layer.{}.mixer.bias", block - 1));
        return stack->params().value(id).data[way * (block + 1) + source];
    };
    // X_1 = v_0 + v_1 + v_2; the second block's ways, its MLP, and the third block's from X_2.
    for (int way = 0; way < 3; ++way) {
        const double b0 = bias(1, way, 0), b1 = bias(1, way, 1);
        CHECK(row(*stack, 0, 3, way) == std::vector<double>{b0 + b1, b1, b1, 0, 0, 0, 0});
    }
    const double r0 = bias(1, 3, 0), r1 = bias(1, 3, 1);
    CHECK(row(*stack, 0, 4, 0) == std::vector<double>{r0 + r1, r1, r1, 1, 0, 0, 0});
    for (int way = 0; way < 3; ++way) {
        const double b0 = bias(2, way, 0), b1 = bias(2, way, 1), b2 = bias(2, way, 2);
        const std::vector<double> want{
            b0 + b1 + b2 * (r0 + r1), b1 + b2 * r1, b1 + b2 * r1, b2, b2, 0, 0};
        const std::vector<double> got = row(*stack, 0, 5, way);
        for (std::size_t i = 0; i < want.size(); ++i) CHECK(std::abs(got[i] - want[i]) <= 1e-15);
    }
}

TEST_CASE("mudd: static M is the same for every token, dynamic M is not", "[mixers]") {
    for (const bool dynamic : {false, true}) {
        const auto stack =
            toy_stack<double>(mixer_config("mudd", {dynamic ? "hidden=6" : "dynamic=false"}));
        stack->forward({});
        for (int way = 0; way < 3; ++way)
            CHECK((stack->matrix(0, way) == stack->matrix(1, way)) == !dynamic);
    }
}

TEST_CASE("mudd: more units than are made at once", "[mixers]") {
    const auto stack = toy_stack<double>(mixer_config("mudd", {"hidden=70"}), {3, 2, 4, 1e-6});
    const GradientError error = check_gradients(*stack);
    INFO("worst: " << error.where);
    CHECK(error.worst <= 1e-7);
    const auto d = numbers(stack->params().grad(stack->params().find("layer.0.mixer.out_proj")));
    REQUIRE(d.size() == 4 * 2 * 70);
    for (std::size_t row = 0; row < 8; ++row) CHECK(d[row * 70 + 69] != 0);
}
