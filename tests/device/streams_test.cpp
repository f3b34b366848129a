// The memory of streams on a GPU (mixers/memories/streams_on_gpu.h) against the CPU's, at the edges
// of its kernels: channels around a run, a warp's 256, the 2048 of a block of one run a thread;
// tokens of less than a warp, of more than four (one block), of more than a trip; streams that it
// carries and streams that the plain memory does.
#include "mixers/memories/streams_on_gpu.h"
#include "support/device_errors.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

using Settings = std::vector<std::string>;

struct StreamsCase {
    MixerShape shape;
    std::string mixer;
    Settings settings;
    bool normed = true;

    template <class T>
    MixerPtr<T> make(Device device) const {
        MixerShape on = shape;
        on.device = device;
        return make_mixer<T>(mixer_config(mixer, settings), on);
    }
    template <class T>
    std::vector<Made> pass(Device device) const {
        return DeviceStack<T>(make<T>(device), device, normed).pass();
    }
    std::string text() const {
        return fmt::format("{} {}: {} sublayers, {} tokens of {} channels", mixer,
                           fmt::join(settings, " "), shape.sublayers(), shape.tokens,
                           shape.channels);
    }
};

MixerShape shape(int sublayers, Index tokens, Index channels) {
    return {sublayers, tokens, channels, 1e-3};
}

std::vector<StreamsCase> cases() {
    const Settings learned{"streams=4", "reduction=learned"}, two{"streams=2", "sinkhorn_iters=3"};
    return {
        {shape(2, 1, 7), "hyper", {}},
        {shape(2, 1, 7), "mhc", learned},
        {shape(3, 65, 7), "hyper", {"streams=2"}},
        {shape(12, 3, 64), "hyper", {}},
        {shape(12, 3, 64), "mhc", {}},
        {shape(12, 3, 64), "mhc_lite", {}, false},
        {shape(2, 130, 64), "hyper", {}, false},
        {shape(2, 130, 64), "mhc", two},
        {shape(3, 3, 264), "hyper", {}},
        {shape(3, 65, 264), "mhc", learned},
        {shape(2, 3, 520), "hyper", {"dynamic=false"}},
        {shape(2, 3, 520), "mhc_lite", {"streams=2", "bias_init=one_hot"}},
        {shape(2, 3, 1032), "hyper", {"streams=2"}},
        {shape(2, 3, 1032), "mhc", {"reduction=sum"}},
        {shape(2, 3, 1031), "mhc", two},
        {shape(2, 3, 2056), "hyper", {}},
        {shape(2, 3, 2056), "mhc", two},
        {shape(3, 3, 64), "hyper", {"streams=1"}},
        {shape(3, 3, 64), "hyper", {"streams=8"}},
        {shape(3, 3, 64), "mhc", {"streams=8"}},
    };
}

template <class F>
void for_every_case(F&& f) {
    for (const StreamsCase& c : cases()) {
        INFO(c.text());
        f(c);
    }
}

template <class T>
bool fused(const StreamsCase& c) {
    const MixerPtr<T> mixer = c.make<T>(Device::cuda);
    return dynamic_cast<const StreamsOnGpu<T>*>(mixer.get()) != nullptr;
}

}  // namespace

TEST_CASE("two and four streams have passes of their own on a GPU", "[streams][device]") {
    for_every_case([](const StreamsCase& c) {
        const long streams = mixer_config(c.mixer, c.settings).integer("streams");
        const bool carried = streams == 2 || streams == 4;
        CHECK(fused<float>(c) == carried);
        CHECK(fused<Bf16>(c) == carried);
        CHECK(fused<double>(c) == (carried && c.shape.channels <= 2048));
    });
    CHECK(fused<Bf16>({shape(2, 3, 4096), "mhc", {}}));
    CHECK_FALSE(fused<Bf16>({shape(2, 3, 4104), "mhc", {}}));
    CHECK_FALSE(fused<Bf16>({shape(2, 3, 2049), "mhc", {}}));
}

TEST_CASE("streams on a GPU are the CPU's in double", "[streams][device]") {
    for_every_case([](const StreamsCase& c) {
        check_double(c.pass<double>(Device::cuda), c.pass<double>(Device::cpu));
    });
}

TEST_CASE("streams on a GPU follow double in float as well as the CPU", "[streams][device]") {
    for_every_case([](const StreamsCase& c) {
        check_float(c.pass<float>(Device::cuda), c.pass<float>(Device::cpu),
                    c.pass<double>(Device::cpu), c.shape.channels);
    });
}

// Away from its start, hyper makes roundings grow over 12 sublayers: there it is the CPU's measure.
TEST_CASE("streams on a GPU follow double to the rounding of bf16", "[streams][device]") {
    for_every_case([](const StreamsCase& c) {
        const std::vector<Made> exact = c.pass<double>(Device::cpu);
        const auto cpu = errors(c.pass<Bf16>(Device::cpu), exact);
        for (const auto& [kind, error] : errors(c.pass<Bf16>(Device::cuda), exact)) {
            INFO("forward, input, parameter: " << static_cast<int>(kind));
            CHECK(error <= std::max(bf16_bound(kind, c.shape.sublayers()), 1.3 * cpu.at(kind)));
        }
    });
}

TEST_CASE("streams on a GPU have the same bits in every order of threads", "[streams][device]") {
    for (const StreamsCase& c :
         {StreamsCase{shape(3, 37, 64), "hyper", {}}, StreamsCase{shape(3, 5, 264), "mhc", {}},
          StreamsCase{shape(2, 3, 520), "mhc_lite", {"streams=2"}}}) {
        INFO(c.text());
        check_every_order([&] { return c.pass<float>(Device::cuda); });
    }
}
