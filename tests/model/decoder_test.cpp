// The decoder against the transformer: with every mixer, the same logits.
#include "model/decoder.h"

#include "check/tiny_model.h"
#include "core/rng.h"
#include "support/allocations.h"
#include "support/every_mixer.h"
#include "support/every_sublayer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

using Tokens = std::vector<std::int32_t>;

Tokens random_tokens(Index n, std::uint64_t seed) {
    const CounterRng rng(seed, "decoder_test");
    Tokens t;
    for (Index i = 0; i < n; ++i)
        t.push_back(
            static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(i), kTinyVocab)));
    return t;
}

template <class Real>
std::unique_ptr<Decoder<Real>> decoder(const MixerConfig& mixer, const ModelConfig& model,
                                       Index batch) {
    auto d = std::make_unique<Decoder<Real>>(TransformerShape{model, mixer, kTinyVocab, batch, 2});
    d->allocate(1);
    perturb(d->params(), 0.2, 2);
    return d;
}

View<const std::int32_t> view(const Tokens& t, Index batch) {
    const Index n = std::ssize(t) / batch;
    return {t.data(), {{'B', batch}, {'T', n}}, Device::cpu};
}

// Logits that follow the last of texts (B, n), read from nothing; those of text b from b * V on.
template <class Real>
std::vector<Real> next_logits(Decoder<Real>& d, const Tokens& texts, Index prompt,
                              const Context& ctx = {}) {
    const Index batch = d.batch(), n = std::ssize(texts) / batch;
    const auto columns = [&](Index first, Index last) {
        Tokens t;
        for (Index b = 0; b < batch; ++b)
            t.insert(t.end(), texts.begin() + b * n + first, texts.begin() + b * n + last);
        return t;
    };
    d.reset();
    d.prefill(ctx, view(columns(0, prompt), batch));
    View<const Real> logits;
    for (Index i = prompt; i < n; ++i) logits = d.step(ctx, view(columns(i, i + 1), batch));
    return {logits.data, logits.data + logits.count()};
}

// Largest difference of a decoder's logits after each position to those of a forward over all.
template <class Real>
double logit_error(const MixerConfig& mixer, const ModelConfig& model) {
    const auto whole = tiny_model<Real>(mixer, 1, model);
    perturb(whole->params(), 0.2, 2);
    whole->forward({});
    const auto d = decoder<Real>(mixer, model, kTinyBatch);
    const Index t = model.context, v = kTinyVocab;
    double worst = 0, largest = 0;
    for (Index n = 0; n < t; ++n) {
        Tokens now;
        for (Index b = 0; b < kTinyBatch; ++b) now.push_back(whole->tokens().data[b * t + n]);
        const View<const Real> logits = d->step({}, view(now, kTinyBatch));
        for (Index b = 0; b < kTinyBatch; ++b)
            for (Index i = 0; i < v; ++i) {
                const double want = whole->logits().row(b * t + n)[i];
                const double e = std::abs(static_cast<double>(logits.row(b)[i]) - want);
                largest = std::max(largest, std::abs(want));
                if (!(e <= worst)) worst = e;
            }
    }
    return worst / largest;
}

}  // namespace

TEST_CASE("a decoder has the transformer's parameters", "[decoder]") {
    for_every_setting([](const MixerConfig& mixer, const MixerInfo&) {
        for (const bool tied : {false, true}) {
            ModelConfig model = tiny_config();
            model.tied_head = tied, model.qk_norm = tied;
            const auto whole = tiny_model<float>(mixer, 1, model);
            Decoder<float> d({model, mixer, kTinyVocab, 3, 1});
            d.allocate(1);
            REQUIRE(d.params().specs().size() == whole->params().specs().size());
            for (std::size_t i = 0; i < d.params().specs().size(); ++i)
                CHECK(d.params().specs()[i].name == whole->params().specs()[i].name);
            CHECK((d.params().values() == whole->params().values()));
        }
    });
}

TEST_CASE("a decoder's logits are the transformer's at every position", "[decoder]") {
    ModelConfig grouped = tiny_config();
    grouped.kv_heads = 1, grouped.qk_norm = true, grouped.tied_head = false, grouped.mlp = "gelu";
    for_every_setting([&](const MixerConfig& mixer, const MixerInfo&) {
        for (const ModelConfig& model : {tiny_config(), grouped}) {
            CHECK(logit_error<double>(mixer, model) <= 1e-12);
            // What "float follows double in the whole model" allows either of the two.
            CHECK(logit_error<float>(mixer, model) <= 2e3 * std::numeric_limits<float>::epsilon());
        }
    });
}

TEST_CASE("every sublayer decodes what it computes in training", "[decoder]") {
    for_every_sublayer_setting([](const ModelConfig& model, const SublayerInfo&) {
        // Of one way, and of several where a block begins as that needs.
        for (const char* mixer : {"standard", model.pattern.front() == "attn" ? "mudd" : "mhc"})
            CHECK(logit_error<double>(mixer_config(mixer), model) <= 1e-12);
    });
}

TEST_CASE("reading a prompt at once is reading it token by token", "[decoder]") {
    for_every_setting([](const MixerConfig& mixer, const MixerInfo&) {
        for (const Index length : {1, 7, 10, 11, 27}) {  // of 10 positions
            const Tokens texts = random_tokens(3 * length, 3);
            const auto d = decoder<double>(mixer, tiny_config(), 3);
            const auto want = next_logits(*d, texts, 0);
            INFO("length " << length);
            for (const Index prompt : {length - 1, length / 2}) {
                const auto got = next_logits(*d, texts, prompt);
                double worst = 0;
                for (std::size_t i = 0; i < want.size(); ++i)
                    if (const double e = std::abs(got[i] - want[i]); !(e <= worst)) worst = e;
                CHECK(worst <= 1e-12);
            }
        }
    });
}

TEST_CASE("a full decoder goes on with the newer half of its text", "[decoder]") {
    for (const long context : {1, 5, 10}) {
        ModelConfig model = tiny_config();
        model.context = context;
        const auto d = decoder<double>(mixer_config("attnres"), model, 1);
        const auto fresh = decoder<double>(mixer_config("attnres"), model, 1);
        const Tokens text = random_tokens(37, 4);
        Index held = 0;
        for (Index n = 0; n < 37; ++n) {
            held = held == context ? context / 2 + 1 : held + 1;
            const Tokens now{text[static_cast<std::size_t>(n)]};
            const View<const double> logits = d->step({}, view(now, 1));
            CHECK(d->held() == held);
            const auto want =
                next_logits(*fresh, Tokens(text.begin() + n + 1 - held, text.begin() + n + 1), 0);
            double worst = 0;
            for (Index i = 0; i < kTinyVocab; ++i)
                if (const double e = std::abs(logits.data[i] - want[static_cast<std::size_t>(i)]);
                    !(e <= worst))
                    worst = e;
            CHECK(worst <= 1e-12);
        }
    }
}

TEST_CASE("a sequence's logits do not depend on its neighbours, the batch or threads",
          "[decoder]") {
    ModelConfig model = tiny_config();
    model.width = 48;
    for_every_setting([&](const MixerConfig& mixer, const MixerInfo&) {
        const Tokens first = random_tokens(14, 5);
        const auto logits = [&](Index batch, std::uint64_t seed, int threads) {
            Tokens texts = first;
            const Tokens others = random_tokens(14 * (batch - 1), seed);
            texts.insert(texts.end(), others.begin(), others.end());
            const auto d = decoder<float>(mixer, model, batch);
            const Context ctx{Device::cpu, threads};
            set_up_threads(ctx);
            auto all = next_logits(*d, texts, 4, ctx);
            all.resize(kTinyVocab);
            return all;
        };
        const auto want = logits(3, 6, 1);
        CHECK((logits(3, 7, 1) == want));
        CHECK((logits(3, 6, 2) == want));
        // A vector gate is a matrix product over all tokens, and its order of addition changes.
        const bool own_bits = (mixer.name != "highway" || mixer.text("gate") != "vector") &&
                              mixer.text("query") != "input";
        for (const Index batch : {1, 2, 16}) {
            INFO("batch " << batch);
            const auto got = logits(batch, 8, 1);
            double worst = 0, largest = 0;
            for (std::size_t i = 0; i < want.size(); ++i) {
                largest = std::max(largest, std::abs(static_cast<double>(want[i])));
                const double e = std::abs(static_cast<double>(got[i] - want[i]));
                if (!(e <= worst)) worst = e;
            }
            CHECK(worst <= (own_bits ? 0 : 2e3 * std::numeric_limits<float>::epsilon() * largest));
        }
    });
}

TEST_CASE("nothing allocates while a text grows", "[decoder]") {
    if (!kMemoryIsMeasured) return;
    for (const MixerInfo& info : mixers()) {
        const auto d = decoder<float>(mixer_config(info.name), tiny_config(), 2);
        const Tokens now = random_tokens(2, 9);
        d->step({}, view(now, 2));
        start_counting();
        for (int i = 0; i < 12; ++i) d->step({}, view(now, 2));  // beyond the 10 positions
        const Allocations a = stop_counting();
        INFO(info.name << ": the first at\n" << a.where);
        CHECK(a.ours == 0);
    }
}
