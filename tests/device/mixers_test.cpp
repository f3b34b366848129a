// Every mixer on a GPU, in the memory that trains it there, against its own memory on the CPU.
#include "support/device_errors.h"
#include "support/every_mixer.h"

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
        check_double(got, want);
    });
}

TEST_CASE("every mixer on a GPU follows double in float as well as the CPU", "[mixers][device]") {
    for_every_stack([&](const MixerConfig& config, const MixerShape& shape, bool normed) {
        check_float(pass<float>(config, shape, normed, Device::cuda),
                    pass<float>(config, shape, normed, Device::cpu),
                    pass<double>(config, shape, normed, Device::cpu), shape.channels);
    });
}

TEST_CASE("every mixer on a GPU follows double to the rounding of bf16", "[mixers][device]") {
    for_every_stack([&](const MixerConfig& config, const MixerShape& shape, bool normed) {
        check_bf16(pass<Bf16>(config, shape, normed, Device::cuda),
                   pass<Bf16>(config, shape, normed, Device::cpu),
                   pass<double>(config, shape, normed, Device::cpu), shape.sublayers());
    });
}

TEST_CASE("a mixer on a GPU has the same bits in every order of its threads", "[mixers][device]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const MixerShape shape{4, 6, 35, 1e-3};
        check_every_order([&] { return pass<float>(config, shape, true, Device::cuda); });
    });
}
