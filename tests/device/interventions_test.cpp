// Interventions on a device: PyTorch's, as on the CPU (model/interventions_test.cpp).
#include "support/interventions.h"
#include "check/oracle_fixture.h"
#include "check/tiny_model.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

constexpr Context kOnDevice{Device::cuda, 1};

double loss(Device device, const MixerConfig& mixer, const std::string& mask) {
    const auto model = tiny_model<Bf16>(mixer, 1, tiny_config(), device);
    perturb(model->params(), 0.05, 2);
    Interventions what(model->layout());
    add_mask(what, mask);
    add_gain(what, "2=0.5");
    model->intervene(&what);
    return model->forward({device, 1});
}

}  // namespace

TEST_CASE("drops, gains, swaps and masks on a device match PyTorch", "[device][model][oracle]") {
    CHECK(worst_against_oracle<double>(Device::cuda) <= 1e-12);
}

// A number in bf16 is off by 2^-9 of itself at most; forward rounds six a sublayer (tiny_model.h),
// whose errors add up like a random walk: sqrt(6 * 4) 2^-9 = 1e-2.
TEST_CASE("interventions on a device reach rows in bf16", "[device][model]") {
    for (const char* mixer : {"standard", "attnres", "mhc"}) {
        INFO(mixer);
        const double cpu = loss(Device::cpu, mixer_config(mixer), "1,output:2"),
                     cuda = loss(Device::cuda, mixer_config(mixer), "1,output:2"),
                     other = loss(Device::cuda, mixer_config(mixer), "0,output:2");
        CHECK(std::abs(cuda - cpu) <= 1e-2 * cpu);
        CHECK(std::abs(other - cpu) > 2e-2 * cpu);
    }
}

TEST_CASE("a device's network without interventions is what it was before them",
          "[device][model]") {
    const auto model = tiny_model<float>(mixer_config("attnres"), 1, tiny_config(), Device::cuda);
    const double before = model->forward(kOnDevice);
    Interventions what(model->layout());
    add_drop(what, "2");
    model->intervene(&what);
    CHECK(model->forward(kOnDevice) != before);
    model->intervene(nullptr);
    CHECK(model->forward(kOnDevice) == before);
}
