#include "model/generation.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/rng.h"

namespace plumb {

GenerationTimes continue_text(const Context& ctx, Decoder<float>& decoder,
                              std::span<const std::int32_t> prompt,
                              const GenerationOptions& options,
                              const std::function<void(Index, std::int32_t)>& show) {
    require(!prompt.empty(), "continue_text: an empty prompt");
    const Index batch = decoder.batch(), n = std::ssize(prompt) - 1;
    std::vector<CounterRng> streams;
    std::vector<std::int32_t> all;  // the prompt but its last token, for every sequence
    for (Index b = 0; b < batch; ++b) {
        streams.emplace_back(static_cast<std::uint64_t>(options.seed),
                             fmt::format("generate/{}", b));
        all.insert(all.end(), prompt.begin(), prompt.end() - 1);
    }
    decoder.reset();
    GenerationTimes times;
    times.prompt_seconds = seconds_of([&] {
        decoder.prefill(ctx, {all.data(), {{'B', batch}, {'T', n}}, Device::cpu});
    });
    const auto start = Clock::now();
    std::vector<std::int32_t> now(static_cast<std::size_t>(batch), prompt.back());
    std::vector<float> logits(static_cast<std::size_t>(batch * decoder.vocab()));
    std::vector<double> scratch;
    for (long i = 0; i < options.tokens; ++i) {
        fetch(decoder.step(ctx, {now.data(), {{'B', batch}}, Device::cpu}), logits.data());
        for (Index b = 0; b < batch; ++b) {
            const auto k = static_cast<std::size_t>(b);
            now[k] = sample(logits.data() + b * decoder.vocab(), decoder.vocab(), options.sampling,
                            streams[k].uniform(static_cast<std::uint64_t>(i)), scratch);
            show(b, now[k]);
        }
    }
    times.token_seconds = seconds_since(start);
    return times;
}

}  // namespace plumb
