// Every mixer's backward against differences, and proof that the check sees an error of 1 %.
#include "check/gradient_check.h"
#include "support/broken_mixer.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("gradients of every mixer match central differences", "[mixers]") {
    const std::vector<MixerShape> shapes{{5, 3, 6, 1e-6},
                                         {2, 2, 5, 1e-6},
                                         {1, 3, 6, 1e-6},
                                         {3, 1, 1, 0.1},
                                         {{{"mlp"}, 4}, 2, 6, 1e-6},
                                         {{{"attn", "attn", "mlp"}, 2}, 2, 6, 1e-6}};
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        std::size_t n_made = 0;
        for (const MixerShape& shape : shapes) {
            const auto stack = toy_stack<double>(config, shape);
            if (!stack) continue;  // e.g. block_size=2 with one sublayer
            ++n_made;
            const GradientError error = check_gradients(*stack);
            INFO("L=" << shape.sublayers() << " in " << shape.layout.blocks() << " blocks, N="
                      << shape.tokens << " C=" << shape.channels << ", worst: " << error.where);
            CHECK(error.worst <= 1e-7);
        }
        CHECK(n_made >= 1);
    });
}

// ---- the check itself ---------------------------------------------------------------------------

namespace {

double broken_error(const MixerConfig& config, Broken what, Index parameter = 0) {
    auto inner = make_mixer<double>(config, {5, 3, 6, 1e-6});
    ToyStack<double> stack(std::make_unique<BrokenMixer>(std::move(inner), what, parameter));
    perturb(stack.params(), 0.3, 2);
    return check_gradients(stack).worst;
}

}  // namespace

TEST_CASE("a backward that is wrong by 1 % is rejected", "[mixers]") {
    for (const MixerInfo& info : mixers()) {
        const MixerConfig config = mixer_config(info.name, info.test_settings.front());
        INFO(info.name);
        CHECK(broken_error(config, Broken::nothing) <= 1e-7);
        CHECK(broken_error(config, Broken::write_backward) > 1e-5);
        CHECK(broken_error(config, Broken::begin_backward) > 1e-3);
        const auto stack = toy_stack<double>(config);
        for (std::size_t k = 0; k < stack->params().specs().size(); ++k) {
            INFO(stack->params().specs()[k].name);
            CHECK(broken_error(config, Broken::parameter, static_cast<Index>(k)) > 5e-3);
        }
    }
}

TEST_CASE("central differences are exact to rounding on a smooth function", "[mixers]") {
    double x = 0.7;
    const double slope = central_difference([&] { return std::exp(2 * x); }, x);
    CHECK(std::abs(slope - 2 * std::exp(1.4)) <= 1e-11);
    CHECK(x == 0.7);
}
