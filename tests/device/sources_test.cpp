// Attention over depth on its fused kernels (mixers/memories/sources_on_gpu.h) against the CPU's
// memory, where sizes choose other kernels, launches or groups than tests/device/mixers_test.cpp.
#include "catch.h"
#include "check/compare.h"
#include "mixers/memories/sources_on_gpu.h"
#include "support/device_errors.h"
#include "support/every_mixer.h"

#include <cstring>

using namespace plumb;
using namespace plumb::test;

namespace {

struct SourcesCase {
    int sublayers, block_size;
    Index tokens, channels;
    DepthSchedule::Sizes groups = {0, 0};
};

// Of all channels, blocks and tokens: one warp a token and several, runs that are whole and that
// are not, a token alone, more than a trip of the reads' grid; groups of reads and of sources that
// end with a rest and that cut blocks; more readers than a warp has lanes.
const SourcesCase kCases[] = {
    {4, 1, 1, 7},           {26, 1, 3, 7},           {13, 2, 65, 7},         {8, 5, 3, 7},
    {26, 3, 3, 64},         {11, 1, 65, 64},         {9, 5, 1, 64},          {17, 2, 3, 64, {3, 3}},
    {12, 1, 3, 264},        {13, 3, 2, 264, {5, 2}}, {4, 1, 3, 270},         {11, 2, 1, 270},
    {10, 2, 3, 520},        {7, 1, 1, 520},          {5, 5, 3, 1032},        {8, 1, 1, 1032},
    {10, 3, 1, 1032},       {36, 1, 2, 16},          {14, 1, 3, 24, {1, 1}}, {14, 3, 3, 24, {1, 3}},
    {14, 2, 5, 24, {2, 1}},
};

template <class T>
std::vector<Made> pass(const SourcesCase& c, Device device, bool normed) {
    MixerShape shape{c.sublayers, c.tokens, c.channels, 1e-3};
    shape.device = device;
    const MixerConfig config =
        mixer_config("attnres_block", {fmt::format("block_size={}", c.block_size)});
    SourceRule rule{make_rule(config, shape), c.block_size, SourceKeys{}, c.groups};
    MixerPtr<T> mixer;
    if (device == Device::cpu)
        mixer = std::make_unique<Sources<T>>(std::move(rule));
    else
        mixer = std::make_unique<SourcesOnGpu<T>>(std::move(rule));
    return DeviceStack<T>(std::move(mixer), device, normed).pass();
}

template <class F>
void for_cases(F&& f) {
    for (const SourcesCase& c : kCases) {
        INFO(c.sublayers << " sublayers in blocks of " << c.block_size << ", " << c.tokens
                         << " tokens of " << c.channels << " channels, groups of " << c.groups.reads
                         << " and " << c.groups.pulls);
        f(c);
    }
}

}  // namespace

TEST_CASE("attention over depth on a GPU is the CPU's in double", "[mixers][device]") {
    for_cases([](const SourcesCase& c) {
        const bool normed = c.sublayers != 4;
        const std::vector<Made> want = pass<double>(c, Device::cpu, normed),
                                got = pass<double>(c, Device::cuda, normed);
        REQUIRE(got.size() == want.size());
        double largest = 0;
        for (const Made& made : want)
            for (const double x : made.values) largest = std::max(largest, std::abs(x));
        for (std::size_t k = 0; k < want.size(); ++k) {
            INFO(want[k].name);
            CHECK(plumb::relative_error(std::span(got[k].values), std::span(want[k].values),
                                        1e-3 * largest) <= 1e-11);
        }
    });
}

// What a network makes of a rounding in its first sublayers is chance: one of these may be further
// off than the CPU's by a lot, all of them together may not. In bf16 all is rounded where the CPU
// rounds, but a gradient more often where groups are smaller.
TEST_CASE("attention over depth on a GPU follows double as well as the CPU", "[mixers][device]") {
    double further = 0;
    int n = 0;
    for_cases([&](const SourcesCase& c) {
        if (c.sublayers > 30) return;  // for the time
        const std::vector<Made> exact = pass<double>(c, Device::cpu, true);
        const auto cpu = errors(pass<float>(c, Device::cpu, true), exact),
                   gpu = errors(pass<float>(c, Device::cuda, true), exact),
                   cpu_bf16 = errors(pass<Bf16>(c, Device::cpu, true), exact),
                   gpu_bf16 = errors(pass<Bf16>(c, Device::cuda, true), exact);
        for (const auto& [kind, error] : gpu) {
            INFO("forward, input, parameter: " << static_cast<int>(kind));
            CHECK(error <= 16 * cpu.at(kind));
            CHECK(gpu_bf16.at(kind) <= 1.5 * cpu_bf16.at(kind));
            further += std::log(error / cpu.at(kind)), ++n;
        }
    });
    CHECK(std::exp(further / n) <= 1.5);
}

TEST_CASE("attention over depth on a GPU has the same bits in every order of its threads",
          "[mixers][device]") {
    for (const SourcesCase& c :
         {SourcesCase{13, 3, 6, 264}, SourcesCase{12, 1, 18, 40}, SourcesCase{6, 2, 5, 270}})
        check_every_order([&] { return pass<Bf16>(c, Device::cuda, true); });
}

// Queries that are zero weigh v_0 and the block's sum alike: dv_1 is half of every D. The last is
// 1, and each of the others would be lost in bf16 if it were added to a half by itself.
TEST_CASE("in bf16 the gradient of a block's sum is not rounded as it grows", "[mixers][device]") {
    constexpr int kSublayers = 16;
    const Shape row{{'N', 1}, {'C', 8}};
    for (const Device device : {Device::cpu, Device::cuda}) {
        MixerShape shape{kSublayers, 1, row.extent(1), 1e-3};
        shape.device = device;
        const MixerPtr<Bf16> mixer =
            make_mixer<Bf16>(mixer_config("attnres_block", {"n_blocks=1"}), shape);
        Plan plan(device);
        ParamStore<float> params(device);
        mixer->declare(plan, params);
        params.allocate(1);
        const Frame frame(std::move(plan), params);
        const Context ctx{.device = device, .frame = &frame};
        const auto filled = [&](View<Bf16> x, float value) {
            const std::vector<Bf16> all(static_cast<std::size_t>(x.count()), Bf16(value));
            put(x, all.data());
        };
        std::vector<DeviceArray<Bf16>> xhat, dx;
        std::vector<PreNorm<Bf16>> norms(kSublayers + 1);  // raw
        for (PreNorm<Bf16>& norm : norms) {
            norm.xhat = xhat.emplace_back(row.count(), device).view(0, row);
            const View<Bf16> d = dx.emplace_back(row.count(), device).view(0, row);
            filled(d, xhat.size() > kSublayers ? 1.0f : 0x1p-10f);
            norm.dx = d;
        }
        filled(mixer->slot(ctx, 0), 1);
        mixer->begin(ctx);
        for (int l = 1; l <= kSublayers + 1; ++l) {
            mixer->read(ctx, l, norms[static_cast<std::size_t>(l - 1)]);
            if (l > kSublayers) break;
            filled(mixer->slot(ctx, l), 1);
            mixer->write(ctx, l);
        }
        std::vector<Bf16> dv;
        for (int l = kSublayers + 1; l >= 1; --l) {
            mixer->read_backward(ctx, l, norms[static_cast<std::size_t>(l - 1)]);
            if (l > 1) dv = fetch<Bf16>(mixer->write_backward(ctx, l - 1));
        }
        for (const Bf16 d : dv)  // rounded once
            CHECK(std::abs(float(d) - (1 + (kSublayers - 1) * 0x1p-10f) / 2) <= 0x1p-10f);
    }
}

TEST_CASE("attention over depth runs on its kernels where they carry it", "[mixers][device]") {
    MixerShape shape{6, 3, 8, 1e-3};
    shape.device = Device::cuda;
    const auto fused = [&](const std::string& mixer, const std::vector<std::string>& settings) {
        const auto made = make_mixer<float>(mixer_config(mixer, settings), shape);
        return dynamic_cast<const SourcesOnGpu<float>*>(made.get()) != nullptr;
    };
    CHECK(fused("attnres", {}));
    CHECK(fused("attnres", {"key_gain=false"}));
    CHECK(fused("attnres_block", {"block_size=2"}));
    for (const char* other : {"heads=2", "key_norm=false", "query=none", "query=input", "window=2",
                              "weights=sigmoid", "weights=sigmoid_norm"})
        CHECK(!fused("attnres", {other}));
    shape.channels = 2052;  // runs that are not whole are one a thread
    CHECK(!fused("attnres", {}));
}
