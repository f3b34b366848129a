// The model on a device beside the model on the CPU.
#include "check/tiny_model.h"

#include "support/every_mixer.h"
#include "support/every_sublayer.h"

#include <cmath>

using namespace plumb;
using namespace plumb::test;

namespace {

constexpr Context kCpu{Device::cpu, 1}, kCuda{Device::cuda, 1};

// What a pass leaves: the loss first, then all gradients.
template <class T>
std::vector<double> pass(const Context& ctx, const MixerConfig& mixer, const ModelConfig& config) {
    const auto model = tiny_model<T>(mixer, 1, config, ctx.device);
    perturb(model->params(), 0.2, 2);
    model->params().zero_grad();
    const std::optional<DropoutKey> key =
        config.dropout > 0 ? std::optional(DropoutKey{3, 4}) : std::nullopt;
    std::vector<double> out{model->forward(ctx, nullptr, key)};
    model->backward(ctx);
    for (const auto x : model->params().grads()) out.push_back(static_cast<double>(x));
    return out;
}

// Largest difference, relative to the largest gradient; a NaN stays one.
double difference(const std::vector<double>& a, const std::vector<double>& b) {
    REQUIRE(a.size() == b.size());
    double worst = std::abs(a[0] - b[0]) / std::abs(b[0]), largest = 0, off = 0;
    for (std::size_t i = 1; i < a.size(); ++i) {
        largest = std::max(largest, std::abs(b[i]));
        const double d = std::abs(a[i] - b[i]);
        if (!(d <= off)) off = d;
    }
    REQUIRE(largest > 0);
    if (!(off / largest <= worst)) worst = off / largest;
    return worst;
}

}  // namespace

TEST_CASE("loss and gradients of every mixer are the CPU's, in double", "[device][model]") {
    for_every_setting([](const MixerConfig& mixer, const MixerInfo&) {
        const std::vector<double> cpu = pass<double>(kCpu, mixer, tiny_config()),
                                  cuda = pass<double>(kCuda, mixer, tiny_config());
        CHECK(difference(cuda, cpu) < 1e-12);
        CHECK(pass<double>(kCuda, mixer, tiny_config()) == cuda);  // whatever order threads had
    });
}

TEST_CASE("loss and gradients of every kind of sublayer are the CPU's, in double",
          "[device][model]") {
    for_every_sublayer_setting([](ModelConfig config, const SublayerInfo&) {
        for (const double dropout : {0.0, 0.2}) {
            config.dropout = dropout;
            CHECK(difference(pass<double>(kCuda, mixer_config("standard"), config),
                             pass<double>(kCpu, mixer_config("standard"), config)) < 1e-12);
        }
    });
}
