// The running row on a GPU against the CPU's: the mixers on it and rules that ask for all it
// offers, at the sizes where kernels change.
#include "mixers/memories/running_row.h"
#include "support/device_errors.h"
#include "support/every_mixer.h"
#include "support/row_rules.h"

using namespace plumb;
using namespace plumb::test;

namespace {

MixerShape on(Device device, MixerShape shape) {
    shape.device = device;
    return shape;
}

auto pass_of(const std::string& mixer, const std::vector<std::string>& settings,
             const MixerShape& shape, bool normed) {
    return [=](auto type, Device device) {
        using T = decltype(type);
        const MixerConfig config = mixer_config(mixer, settings);
        return DeviceStack<T>(make_mixer<T>(config, on(device, shape)), device, normed).pass();
    };
}
template <class R>
auto pass_of(const MixerShape& shape, bool normed) {
    CHECK(RunningRow<float, R>::runs_on_gpu(R(shape)));
    return [=](auto type, Device device) {
        using T = decltype(type);
        auto mixer = std::make_unique<RunningRow<T, R>>(R(on(device, shape)));
        return DeviceStack<T>(std::move(mixer), device, normed).pass();
    };
}

// Channels and tokens: runs that are whole or not, one warp a token or more, tokens that fill no
// block. Not all of one with all of the other: that takes minutes.
struct RowSize {
    Index channels, tokens;
};
constexpr RowSize kRowSizes[] = {{7, 130}, {64, 65}, {264, 3}, {520, 1}, {1032, 3}};

// f(pass) of each mixer and rule.
template <class F>
void for_every_row(const MixerShape& shape, bool normed, F&& f) {
    const auto mixer = [&](const std::string& name, const std::vector<std::string>& settings) {
        INFO(name << " " << fmt::format("{}", fmt::join(settings, " ")));
        f(pass_of(name, settings, shape, normed));
    };
    INFO(shape.sublayers() << " sublayers, " << shape.tokens << " tokens of " << shape.channels
                           << (normed ? " channels" : " channels, raw"));
    mixer("standard", {});
    mixer("highway", {});
    mixer("highway", {"gate_input=raw"});
    mixer("highway", {"gate=static"});
    mixer("rezero", {});
    mixer("layerscale", {});
    mixer("deepnorm", {});
    const auto rule = [&](const char* name, auto pass) {
        INFO(name);
        f(pass);
    };
    rule("a token's", pass_of<TokenRule>(shape, normed));
    rule("a row", pass_of<SiteRule>(shape, normed));
    rule("learned numbers", pass_of<NumbersRule<true>>(shape, normed));
    rule("constants", pass_of<NumbersRule<false>>(shape, normed));
}

}  // namespace

TEST_CASE("a running row on a GPU is the CPU's in double", "[mixers][device]") {
    const auto check = [](auto pass) {
        check_double(pass(double(), Device::cuda), pass(double(), Device::cpu));
    };
    for (const auto& [c, n] : kRowSizes) for_every_row({3, n, c, 1e-3}, n != 3, check);
    for (const auto& [c, n] : {RowSize{7, 1}, RowSize{264, 65}})
        for_every_row({2, n, c, 1e-3}, true, check);
    for (const int l : {4, 5, 8, 12}) for_every_row({l, 5, 64, 1e-3}, true, check);
}

TEST_CASE("a running row on a GPU follows double in float as well as the CPU", "[mixers][device]") {
    for (const auto& [channels, n] : kRowSizes)
        for_every_row({3, n, channels, 1e-3}, true, [&, c = channels](auto pass) {
            check_float(pass(float(), Device::cuda), pass(float(), Device::cpu),
                        pass(double(), Device::cpu), c);
        });
}

// Where a gate has all but closed, h = (h_l - a_1 v) / a_0 has the roundings of h_l many times, on
// the CPU too.
TEST_CASE("a running row on a GPU follows double to the rounding of bf16", "[mixers][device]") {
    for (const auto& [c, n] : kRowSizes)
        for_every_row({3, n, c, 1e-3}, true, [&](auto pass) {
            const std::vector<Made> exact = pass(double(), Device::cpu);
            const auto cpu = errors(pass(Bf16(), Device::cpu), exact);
            for (const auto& [kind, error] : errors(pass(Bf16(), Device::cuda), exact)) {
                INFO("forward, input, parameter: " << static_cast<int>(kind));
                CHECK(error <= std::max(bf16_bound(kind, 3), 1.1 * cpu.at(kind)));
            }
        });
}

TEST_CASE("a running row on a GPU has the same bits in every order of its threads",
          "[mixers][device]") {
    for (const auto& [c, n] : {RowSize{64, 65}, RowSize{1032, 3}})
        for_every_row({2, n, c, 1e-3}, true, [](auto pass) {
            check_every_order([&] { return pass(float(), Device::cuda); });
        });
}

TEST_CASE("a running row leaves a rule that mixes channels' numbers to the plain memory",
          "[mixers][device]") {
    CHECK_FALSE(RunningRow<float, ShiftedRule>::runs_on_gpu(ShiftedRule({2, 3, 4, 1e-3})));
    CHECK(RunningRow<float, ShiftedRule>::runs_on_gpu(ShiftedRule({2, 3, 1, 1e-3})));
}
