#include "model/generation.h"

#include "catch.h"
#include "check/tiny_model.h"
#include "check/toy_stack.h"

#include <algorithm>

using namespace plumb;

namespace {

using Tokens = std::vector<std::int32_t>;

const Tokens kPrompt{3, 1, 4};

std::unique_ptr<Decoder<float>> decoder(Index batch) {
    auto d =
        std::make_unique<Decoder<float>>(TransformerShape{tiny_config(), {}, kTinyVocab, batch, 1});
    d->allocate(1);
    perturb(d->params(), 0.2, 2);
    return d;
}

std::vector<Tokens> generated(Decoder<float>& d, const GenerationOptions& options) {
    std::vector<Tokens> texts(static_cast<std::size_t>(d.batch()));
    continue_text({}, d, kPrompt, options, [&](Index b, std::int32_t token) {
        texts[static_cast<std::size_t>(b)].push_back(token);
    });
    return texts;
}

}  // namespace

TEST_CASE("at temperature 0 each token is the likeliest after those before it", "[decoder]") {
    const auto d = decoder(1);
    const Tokens text = generated(*d, {5, 1, {.temperature = 0}})[0];
    REQUIRE(text.size() == 5);
    Tokens held = kPrompt;
    for (const std::int32_t token : text) {
        d->reset();
        View<const float> logits;
        for (const std::int32_t& t : held) logits = d->step({}, {&t, {{'B', 1}}, Device::cpu});
        CHECK(token == std::max_element(logits.data, logits.data + kTinyVocab) - logits.data);
        held.push_back(token);
    }
}

TEST_CASE("a sequence continues alike however many there are, and anew with another seed",
          "[decoder]") {
    const auto one = decoder(1), three = decoder(3);
    const GenerationOptions options{20, 7, {.temperature = 1}};
    const auto texts = generated(*three, options);
    CHECK(texts[0] != texts[1]);
    CHECK(generated(*one, options)[0] == texts[0]);
    CHECK(generated(*one, options)[0] == texts[0]);  // what was held is forgotten
    CHECK(generated(*one, {20, 8, {.temperature = 1}})[0] != texts[0]);
}
