// Every mixer on a GPU, in the memory that carries any rule, against its own memory on the CPU.
#include "check/compare.h"
#include "emulated/device.h"
#include "support/device_stack.h"
#include "support/every_mixer.h"

#include <cstring>
#include <map>

using namespace plumb;
using namespace plumb::test;

namespace {

MixerShape shape_for(const MixerConfig& config, MixerShape shape, Device device) {
    shape.channels *= config.integer("heads");  // as many for each head
    shape.device = device;
    return shape;
}

// f(config, shape, normed) for every setting of every mixer: few tokens behind pre-norms and raw,
// more than a warp of them, and channels of more than a warp.
template <class F>
void for_every_stack(F&& f) {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        for (const auto& [shape, normed] : {std::pair(MixerShape{5, 3, 6, 1e-3}, true),
                                            std::pair(MixerShape{4, 37, 9, 1e-3}, false),
                                            std::pair(MixerShape{4, 2, 35, 1e-3}, true)}) {
            INFO(shape.tokens << " tokens of " << shape.channels << " channels, "
                              << (normed ? "behind pre-norms" : "raw"));
            f(config, shape, normed);
        }
    });
}

template <class T>
DeviceStack<T> stack_of(const MixerConfig& config, const MixerShape& shape, bool normed,
                        Device device) {
    return {make_mixer<T>(config, shape_for(config, shape, device)), device, normed};
}
template <class T>
std::vector<Made> pass(const MixerConfig& config, const MixerShape& shape, bool normed,
                       Device device) {
    return stack_of<T>(config, shape, normed, device).pass();
}

// Root mean square of got - want over that of want, over all tensors of a kind.
std::map<Made::Kind, double> errors(const std::vector<Made>& got, const std::vector<Made>& want) {
    REQUIRE(got.size() == want.size());
    std::map<Made::Kind, std::pair<double, double>> sums;
    for (std::size_t k = 0; k < want.size(); ++k) {
        REQUIRE(got[k].values.size() == want[k].values.size());
        auto& [error, size] = sums[want[k].kind];
        for (std::size_t i = 0; i < want[k].values.size(); ++i) {
            const double d = got[k].values[i] - want[k].values[i];
            error += d * d, size += want[k].values[i] * want[k].values[i];
        }
    }
    std::map<Made::Kind, double> all;
    for (const auto& [kind, sum] : sums)
        all[kind] = std::sqrt(sum.first / (sum.second > 0 ? sum.second : 1));
    return all;
}

}  // namespace

TEST_CASE("a mixer has the same parameters on a GPU", "[mixers][device]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const MixerShape shape{5, 3, 6, 1e-3};
        auto cpu = stack_of<float>(config, shape, true, Device::cpu),
             gpu = stack_of<float>(config, shape, true, Device::cuda);
        const auto &want = cpu.params().specs(), &got = gpu.params().specs();
        REQUIRE(got.size() == want.size());
        for (std::size_t k = 0; k < want.size(); ++k) {
            CHECK(got[k].name == want[k].name);
            CHECK(got[k].shape == want[k].shape);
            CHECK(got[k].group == want[k].group);
            CHECK(got[k].decay == want[k].decay);
        }
        CHECK(gpu.params().values() == cpu.params().values());
    });
}

TEST_CASE("every mixer on a GPU is the CPU's in double", "[mixers][device]") {
    for_every_stack([&](const MixerConfig& config, const MixerShape& shape, bool normed) {
        const std::vector<Made> want = pass<double>(config, shape, normed, Device::cpu),
                                got = pass<double>(config, shape, normed, Device::cuda);
        REQUIRE(got.size() == want.size());
        double largest = 0;
        for (const Made& made : want)
            for (const double x : made.values) largest = std::max(largest, std::abs(x));
        for (std::size_t k = 0; k < want.size(); ++k) {
            INFO(want[k].name);
            CHECK(relative_error(std::span(got[k].values), std::span(want[k].values),
                                 1e-3 * largest) <= 1e-11);
        }
    });
}

TEST_CASE("every mixer on a GPU follows double in float as well as the CPU", "[mixers][device]") {
    for_every_stack([&](const MixerConfig& config, const MixerShape& shape, bool normed) {
        const std::vector<Made> exact = pass<double>(config, shape, normed, Device::cpu);
        const auto cpu = errors(pass<float>(config, shape, normed, Device::cpu), exact),
                   gpu = errors(pass<float>(config, shape, normed, Device::cuda), exact);
        for (const auto& [kind, error] : gpu) {
            // The CPU's scalars are double. In float a sum of C products of mixed sign, which the
            // gradient of a weight is, is off by about sqrt(C) roundings.
            const double rounding =
                kind == Made::Kind::parameter ? std::sqrt(shape.channels) * 0x1p-24 : 0x1p-24;
            INFO("forward, input, parameter: " << static_cast<int>(kind));
            CHECK(error <= 4 * std::max(cpu.at(kind), rounding));
        }
    });
}

// One rounding to bf16 is 0.43 2^-8 in the root mean square (tests/mixers/bf16_test.cpp); a number
// is rounded four times on its way through a sublayer, a gradient 12 times.
TEST_CASE("every mixer on a GPU follows double to the rounding of bf16", "[mixers][device]") {
    for_every_stack([&](const MixerConfig& config, const MixerShape& shape, bool normed) {
        const auto error = errors(pass<Bf16>(config, shape, normed, Device::cuda),
                                  pass<double>(config, shape, normed, Device::cpu));
        for (const auto& [kind, e] : error) {
            const int roundings = (kind == Made::Kind::forward ? 4 : 12) * (shape.sublayers() + 1);
            INFO("forward, input, parameter: " << static_cast<int>(kind));
            CHECK(e <= (kind == Made::Kind::parameter ? 6 : 2) * 0.43 * std::sqrt(roundings) / 256);
        }
    });
}

TEST_CASE("a mixer on a GPU has the same bits in every order of its threads", "[mixers][device]") {
    const std::uint64_t before = emulated::order();
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const MixerShape shape{4, 6, 35, 1e-3};
        std::vector<std::vector<Made>> runs;
        for (const std::uint64_t seed : {0u, 7u, 12u}) {
            emulated::set_order(seed);
            runs.push_back(pass<float>(config, shape, true, Device::cuda));
        }
        for (const auto& run : runs)
            for (std::size_t k = 0; k < run.size(); ++k) {
                INFO(run[k].name);
                CHECK(std::memcmp(run[k].values.data(), runs[0][k].values.data(),
                                  run[k].values.size() * sizeof(double)) == 0);
            }
    });
    emulated::set_order(before);
}
