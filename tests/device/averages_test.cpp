// Averages on a GPU against the CPU's, whose two phases cut the sums in another order: at the sizes
// where kernels change, runs that are whole or not, one warp a token or more, tokens that fill no
// block, and with depths that have one average, many, and a last block of one sublayer.
#include "mixers/memories/averages.h"
#include "support/device_errors.h"
#include "support/every_mixer.h"

#include <utility>

using namespace plumb;
using namespace plumb::test;

namespace {

// Channels and tokens, as in running_row_test.cpp.
struct Size {
    Index channels, tokens;
};
constexpr Size kSizes[] = {{7, 130}, {64, 65}, {264, 3}, {520, 1}, {1032, 3}};

// f(pass), pass(T(), device), of every kind of average.
template <class F>
void for_every_average(const MixerShape& shape, bool normed, F&& f) {
    for (const auto& settings : find_mixer("denseformer").test_settings) {
        if (!settings.empty() && shape.layout.blocks() < 2) continue;
        INFO(shape.sublayers() << " sublayers, " << shape.tokens << " tokens of " << shape.channels
                               << (normed ? " channels " : " channels, raw ")
                               << fmt::format("{}", fmt::join(settings, " ")));
        f([&](auto type, Device device) {
            using T = decltype(type);
            MixerShape there = shape;
            there.device = device;
            auto mixer = make_mixer<T>(mixer_config("denseformer", settings), there);
            REQUIRE(dynamic_cast<Averages<T>*>(mixer.get()));
            return DeviceStack<T>(std::move(mixer), device, normed).pass();
        });
    }
}

}  // namespace

TEST_CASE("averages on a GPU are the CPU's in double", "[mixers][device]") {
    const auto check = [](auto pass) {
        check_double(pass(double(), Device::cuda), pass(double(), Device::cpu));
    };
    for (const auto& [c, n] : kSizes) for_every_average({5, n, c, 1e-3}, n != 3, check);
    for (const auto& [c, n] : {Size{7, 1}, Size{264, 65}})
        for_every_average({4, n, c, 1e-3}, true, check);
    for (const int l : {2, 3, 7, 8, 12}) for_every_average({l, 5, 64, 1e-3}, true, check);
}

TEST_CASE("averages on a GPU of more blocks than a warp has lanes", "[mixers][device]") {
    bool first = true;  // settings: the others take as long to plan, and their averages are shorter
    for_every_average({68, 1, 8, 1e-3}, true, [&](auto pass) {
        if (!std::exchange(first, false)) return;
        check_double(pass(double(), Device::cuda), pass(double(), Device::cpu));
    });
}

TEST_CASE("averages on a GPU follow double in float as well as the CPU", "[mixers][device]") {
    for (const auto& [channels, n] : kSizes)
        for_every_average({6, n, channels, 1e-3}, true, [&, c = channels](auto pass) {
            check_float(pass(float(), Device::cuda), pass(float(), Device::cpu),
                        pass(double(), Device::cpu), c);
        });
}

TEST_CASE("averages on a GPU follow double to the rounding of bf16", "[mixers][device]") {
    for (const auto& [c, n] : kSizes)
        for_every_average({6, n, c, 1e-3}, true, [](auto pass) {
            const std::vector<Made> exact = pass(double(), Device::cpu);
            const auto cpu = errors(pass(Bf16(), Device::cpu), exact);
            for (const auto& [kind, error] : errors(pass(Bf16(), Device::cuda), exact)) {
                INFO("forward, input, parameter: " << static_cast<int>(kind));
                CHECK(error <= std::max(bf16_bound(kind, 6), 1.1 * cpu.at(kind)));
            }
        });
}

TEST_CASE("averages on a GPU have the same bits in every order of its threads",
          "[mixers][device]") {
    for (const Index c : {64, 1032})
        for_every_average({6, 65, c, 1e-3}, true, [](auto pass) {
            check_every_order([&] { return pass(float(), Device::cuda); });
        });
}
