#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("hyper: static coefficients give M in closed form", "[mixers]") {
    // One stream: h_l = a_l X_l, X_{l+1} = r_l X_l + beta_l v_l, output X_{L+1}.
    const auto stack =
        toy_stack<double>(mixer_config("hyper", {"streams=1", "dynamic=false"}), {4, 2, 3, 1e-6});
    stack->forward({});
    const std::vector<double> m = stack->matrix(1);
    const auto param = [&](int l, const char* name, Index i) {
        return stack->params()
            .value(stack->params().find(Layout(4).name(l) + ".mixer." + name))
            .data[i];
    };
    for (int l = 1; l <= 5; ++l)
        for (int i = 0; i < l; ++i) {
            double want = l <= 4 ? param(l, "alpha", 0) : 1.0;
            if (i > 0) want *= param(i, "beta", 0);
            for (int j = i + 1; j < l; ++j) want *= param(j, "alpha", 1);
            CHECK(std::abs(m[static_cast<std::size_t>((l - 1) * 5 + i)] - want) <= 1e-14);
        }
}

TEST_CASE("hyper: static M is the same for every token, dynamic M is not", "[mixers]") {
    for (const bool dynamic : {false, true}) {
        const auto stack = toy_stack<double>(
            mixer_config("hyper", {"streams=2", dynamic ? "dynamic=true" : "dynamic=false"}));
        stack->forward({});
        CHECK((stack->matrix(0) == stack->matrix(1)) == !dynamic);
    }
}

TEST_CASE("hyper: the number of streams is bounded", "[mixers]") {
    MixerConfig config = mixer_config("hyper");
    for (const long streams : {0L, 9L}) {
        config.set("streams", streams);
        CHECK_THROWS_WITH(make_mixer<double>(config, {4, 1, 3, 1e-6}),
                          contains_text("mixer.streams"));
    }
}
