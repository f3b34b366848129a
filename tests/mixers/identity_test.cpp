// Mixers that start as the standard network: same logits and same gradients of every shared weight.
#include "check/tiny_model.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("mixers that claim it equal the standard network at init", "[mixers]") {
    std::size_t n = 0;
    for_every_setting([&](const MixerConfig& config, const MixerInfo& info) {
        if (!starts_as_standard(info, config)) return;
        ++n;
        CHECK(difference_to_standard(config) <= 1e-12);
    });
    CHECK(n >= 10);
    for (const char* gate : {"gate=scalar", "gate=vector", "gate=static"})
        CHECK(difference_to_standard(mixer_config("highway", {gate, "gate_bias=uniform"})) <=
              1e-12);
    for (const char* size : {"block_size=1", "block_size=2", "block_size=3", "block_size=4",
                             "n_blocks=1", "n_blocks=2", "n_blocks=3"})  // 3: the last is short
        CHECK(difference_to_standard(mixer_config("attnres_block", {size})) <= 1e-12);
    for (const char* streams : {"streams=1", "streams=2", "streams=4"})
        for (const char* dynamic : {"dynamic=true", "dynamic=false"})
            CHECK(difference_to_standard(mixer_config("hyper", {streams, dynamic})) <= 1e-12);
}

TEST_CASE("the comparison with the standard network has power", "[mixers]") {
    CHECK(difference_to_standard(mixer_config("highway", {"gate_bias=depth"})) > 1e-2);
    const auto perturbed = tiny_model<double>(mixer_config("attnres"), 1, tiny_config(1e-30));
    perturb(perturbed->params(), 0.1, 2, Group::mixer);
    const auto standard = tiny_model<double>(mixer_config("standard"), 1, tiny_config(1e-30));
    CHECK(model_difference(*perturbed, *standard) > 1e-3);
}
