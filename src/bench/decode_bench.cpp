#include "bench/decode_bench.h"

#include "bench/decode_timing.h"

#include <algorithm>

namespace plumb {
namespace {

TransformerShape decode_shape(const Config& config, Index vocab, const Context& ctx) {
    return {config.model, config.mixer, vocab, config.train.batch, ctx.threads};
}

}  // namespace

DecodeBench bench_decode(const BenchShape& shape, const std::vector<BenchMixer>& mixers,
                         const std::vector<std::string>& overrides, const BenchOptions& options) {
    check_bench_overrides(mixers, overrides);
    std::vector<Config> configs;
    for (const BenchMixer& m : mixers) configs.push_back(bench_config(shape, m, overrides));
    const Index context = configs.front().model.resolved().context;
    const Index steps = std::max<Index>(1, context / 4);
    DecodeBench out{shape, options.rounds, static_cast<int>(steps), {}};
    const double total = static_cast<double>(mixers.size()) * options.rounds;
    for (std::size_t i = 0; i < mixers.size(); ++i) {
        DecodeMixerBench row;
        row.mixer = mixers[i];
        std::vector<double> own, ratios, prefill;
        for (int r = 0; r < options.rounds; ++r) {
            if (options.progress)
                options.progress((static_cast<double>(i) * options.rounds + r) / total,
                                 fmt::format("generate {} x {}: {}, round {} of {}", shape.name,
                                             shape.batch, mixers[i].label, r + 1, options.rounds));
            const auto time = [&](const Config& config) {
                return time_decode(decode_shape(config, shape.vocab, options.context), context,
                                   steps);
            };
            const double base = spread(time(configs.front()).step_seconds).median;
            const DecodeTiming timing = time(configs[i]);
            own.push_back(spread(timing.step_seconds).median);
            ratios.push_back(own.back() / base - 1);
            prefill.push_back(timing.prefill_seconds);
        }
        row.token = spread(own);
        row.overhead = spread(ratios);
        row.prefill_tokens_per_s =
            static_cast<double>((context - steps) * shape.batch) / spread(prefill).median;
        out.rows.push_back(std::move(row));
    }
    return out;
}

}  // namespace plumb
