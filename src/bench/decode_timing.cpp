#include "bench/decode_timing.h"

#include "core/clock.h"
#include "core/rng.h"
#include "model/decoder.h"

namespace plumb {

DecodeTiming time_decode(const TransformerShape& shape, Index context, Index steps) {
    if (steps < 1 || steps > context || context > shape.model.context)
        throw UsageError(
            fmt::format("timing {} steps up to position {}: the model has {} positions", steps,
                        context, shape.model.context));
    const Context ctx{Device::cpu, shape.threads};
    set_up_threads(ctx);
    Decoder<float> decoder(shape);
    decoder.allocate(1);
    const Index prompt = context - steps;
    const CounterRng rng(1, "decode_timing");
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(shape.batch * context));
    for (std::size_t i = 0; i < tokens.size(); ++i)
        tokens[i] =
            static_cast<std::int32_t>(rng.below(i, static_cast<std::uint64_t>(shape.vocab)));
    const auto view = [&](Index first, Index n) {
        return View<const std::int32_t>{
            tokens.data() + shape.batch * first, {{'B', shape.batch}, {'T', n}}, Device::cpu};
    };
    DecodeTiming timing;
    timing.prefill_seconds = seconds_of([&] { decoder.prefill(ctx, view(0, prompt)); });
    for (Index i = prompt; i < context; ++i)
        timing.step_seconds.push_back(seconds_of([&] { decoder.step(ctx, view(i, 1)); }));
    return timing;
}

}  // namespace plumb
