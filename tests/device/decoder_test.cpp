// The decoder on a device beside the decoder on the CPU, which is the transformer
// (model/decoder_test.cpp).
#include "model/generation.h"

#include "check/tiny_model.h"
#include "core/rng.h"
#include "support/every_mixer.h"
#include "support/every_sublayer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

constexpr Index kBatch = 2;

template <class Real>
std::unique_ptr<Decoder<Real>> decoder(Device device, const MixerConfig& mixer,
                                       const ModelConfig& model, Index batch) {
    auto d = std::make_unique<Decoder<Real>>(
        TransformerShape{model, mixer, kTinyVocab, batch, 1, 0, device});
    d->allocate(1);
    perturb(d->params(), 0.2, 2);
    return d;
}

// Logits (steps, B, V) of a text that is read in part at once and then token by token, past the
// end of the context: there its older half is dropped.
template <class Real>
std::vector<Real> logits(Device device, const MixerConfig& mixer, const ModelConfig& model) {
    const auto d = decoder<Real>(device, mixer, model, kBatch);
    const CounterRng rng(3, "device/decoder_test");
    const auto tokens = [&](Index first, Index n) {
        std::vector<std::int32_t> t;
        for (Index i = 0; i < kBatch * n; ++i)
            t.push_back(static_cast<std::int32_t>(
                rng.below(static_cast<std::uint64_t>(kBatch * first + i), kTinyVocab)));
        return t;
    };
    constexpr Index kPrompt = 4, kText = 13;
    const std::vector<std::int32_t> prompt = tokens(0, kPrompt);
    d->prefill({device}, {prompt.data(), {{'B', kBatch}, {'T', kPrompt}}});
    std::vector<Real> all;
    for (Index i = kPrompt; i < kText; ++i) {
        const std::vector<std::int32_t> now = tokens(i, 1);
        const std::vector<Real> next = fetch(d->step({device}, {now.data(), {{'B', kBatch}}}));
        all.insert(all.end(), next.begin(), next.end());
    }
    return all;
}

template <class Real>
double difference(const MixerConfig& mixer, const ModelConfig& model) {
    const auto want = logits<Real>(Device::cpu, mixer, model),
               got = logits<Real>(Device::cuda, mixer, model);
    REQUIRE(got.size() == want.size());
    double worst = 0, largest = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(want[i])));
        const double e = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
        if (!(e <= worst)) worst = e;
    }
    return worst / largest;
}

std::vector<std::int32_t> likeliest(Device device, const MixerConfig& mixer) {
    const auto d = decoder<float>(device, mixer, tiny_config(), kBatch);
    const std::vector<std::int32_t> prompt{3, 1, 4};
    std::vector<std::int32_t> text;
    continue_text({device}, *d, prompt, {15, 1, {.temperature = 0}},
                  [&](Index, std::int32_t token) { text.push_back(token); });
    return text;
}

}  // namespace

// Bounds: those of the CPU's decoder against the transformer.
TEST_CASE("every mixer decodes on a device what it does on the CPU", "[device][decoder]") {
    for_every_setting([](const MixerConfig& mixer, const MixerInfo&) {
        CHECK(difference<double>(mixer, tiny_config()) <= 1e-12);
    });
}

TEST_CASE("every mixer goes on with the CPU's text on a device, in float", "[device][decoder]") {
    for (const MixerInfo& info : mixers()) {
        INFO(info.name);
        const MixerConfig mixer = mixer_config(info.name, info.test_settings.front());
        CHECK(difference<float>(mixer, tiny_config()) <=
              2e3 * std::numeric_limits<float>::epsilon());
        CHECK(likeliest(Device::cuda, mixer) == likeliest(Device::cpu, mixer));
    }
}

TEST_CASE("every sublayer decodes on a device what it does on the CPU", "[device][decoder]") {
    for_every_sublayer_setting([](const ModelConfig& model, const SublayerInfo&) {
        for (const char* mixer : {"standard", model.pattern.front() == "attn" ? "mudd" : "mhc"})
            CHECK(difference<double>(mixer_config(mixer), model) <= 1e-12);
    });
}
