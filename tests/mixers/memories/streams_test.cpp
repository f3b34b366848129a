// Four streams of full registers take kernels of their own; the contract's shapes (7 and 9
// channels, mostly 2 and 3 streams) do not reach them.
#include "check/compare.h"
#include "check/gradient_check.h"
#include "mixers/memories/stream_dots.h"
#include "support/bf16_stack.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// More tokens than a tile, the last group of four not full; channels of one Vec of float.
const MixerShape kWide{3, 22, 16, 1e-6};

template <class F>
void for_four_streams(F&& f) {
    const std::vector<std::pair<const char*, std::vector<std::string>>> table{
        {"hyper", {"streams=4"}},
        {"hyper", {"streams=4", "dynamic=false"}},
        {"mhc", {"streams=4"}},
        {"mhc", {"streams=4", "reduction=learned"}},
        {"mhc_lite", {"streams=4"}}};
    for (const auto& [name, settings] : table) {
        INFO(name << " " << fmt::format("{}", fmt::join(settings, " ")));
        f(mixer_config(name, settings));
    }
}

}  // namespace

TEST_CASE("streams: four of full registers, gradients match differences", "[mixers]") {
    for_four_streams([](const MixerConfig& config) {
        const auto stack = toy_stack<double>(config, kWide);
        const GradientError error = check_gradients(*stack);
        INFO(error.where);
        CHECK(error.worst <= 1e-7);
        CHECK(matrix_error(*stack) <= 1e-13);
    });
}

TEST_CASE("streams: four of full registers, float and bf16 follow double", "[mixers]") {
    for_four_streams([](const MixerConfig& config) {
        const MixerShape shape{3, kTokenChunk + 22, 32, 1e-6};
        Bf16Stack<double> exact(make_mixer<double>(config, shape), true);
        Bf16Stack<float> single(make_mixer<float>(config, shape), true);
        Bf16Stack<Bf16> rounded(make_mixer<Bf16>(config, shape), true);
        CHECK(std::abs(single.forward({}) - exact.forward({})) <= 1e-4);
        rounded.forward({});
        exact.backward({}), single.backward({}), rounded.backward({});
        // As in contract_test.cpp and bf16_test.cpp: 500 roundings of float; of bf16 eight a
        // sublayer each way, 0.43 u of 2^-8 in the root mean square, four standard deviations.
        const double float_limit = 500 * std::numeric_limits<float>::epsilon();
        const double bf16_limit = 4 * 0.43 * std::sqrt(8.0 * 4) / 256;
        double worst = 0;
        for (const auto& spec : exact.params().specs()) {
            const auto id = exact.params().find(spec.name);
            const auto want = numbers(exact.params().grad(id));
            INFO(spec.name);
            CHECK(relative_error(numbers(single.params().grad(id)), want) <=
                  (want.size() == 1 ? 10 : 1) * float_limit);
            worst = worse(worst, want.size() < 100
                                     ? 0.0
                                     : relative_error(numbers(rounded.params().grad(id)), want));
        }
        CHECK(worst <= bf16_limit);
    });
}

TEST_CASE("streams: four of full registers, one and two threads give the same bits", "[mixers]") {
    for_four_streams([](const MixerConfig& config) {
        const MixerShape shape{2, 2 * kTokenChunk + 5, 16, 1e-6};
        const auto one = toy_stack<float>(config, shape), two = toy_stack<float>(config, shape);
        CHECK(one->forward({Device::cpu, 1}) == two->forward({Device::cpu, 2}));
        one->backward({Device::cpu, 1}), two->backward({Device::cpu, 2});
        CHECK(one->params().grads() == two->params().grads());
        for (Index i = 0; i < one->dinput().count(); ++i)
            CHECK(one->dinput().data[i] == two->dinput().data[i]);
    });
}

TEST_CASE("streams: the dots of a rule are found where it asked for them", "[mixers]") {
    using O = Operand;
    const Dots alike{{O::ones(), O::vector(1)}, {O::row(0), O::row(0)}, {O::row(0), O::vector(0)},
                     {O::row(0), O::vector(1)}, {O::row(1), O::ones()}, {O::row(1), O::vector(0)},
                     {O::row(1), O::vector(1)}};
    const StreamDots one(alike, 2);
    CHECK((one.n == 7 && one.m == 2 && !one.end_to_end));
    CHECK((one.square[0] == 1 && one.square[1] == -1 && one.sum[0] == -1 && one.sum[1] == 4));
    CHECK((one.projection[0] == 2 && one.projection[1] == 5));
    CHECK((one.totals.size() == 1 && one.totals[0][0] == 0 && one.totals[0][1] == 1));

    const StreamDots all({{O::row(0), O::row(0), -1, 2},
                          {O::row(0), O::vector(0), -1, 2},
                          {O::row(0), O::vector(2), -1, 2}},
                         2);
    CHECK((all.n == 3 && all.m == 2 && all.end_to_end));
    CHECK((all.square[0] == 0 && all.projection[0] == 1 && all.projection[1] == 1));
}

TEST_CASE("streams: a rule that asks for other dots is refused", "[mixers]") {
    using O = Operand;
    for (const Dots& dots : {Dots{{O::row(0), O::row(0), 0}}, Dots{{O::row(0), O::vector(1)}},
                             Dots{{O::row(0), O::vector(0, 0)}},
                             Dots{{O::row(0), O::row(0), -1, 2}, {O::row(0), O::vector(0)}},
                             Dots{{O::row(0), O::ones(), -1, 2}}})
        CHECK_THROWS_AS(StreamDots(dots, 2), InternalError);
}
