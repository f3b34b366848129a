// How long generating a token takes with each depth mixer, against a baseline, in rounds A B A B.
#pragma once

#include "bench/bench.h"

#include <string>
#include <vector>

namespace plumb {

struct DecodeMixerBench {
    BenchMixer mixer;
    Spread token;     // seconds of one step of all sequences; a round's figure is its median
    Spread overhead;  // of the ratios round by round, less 1
    double prefill_tokens_per_s = 0;
};

struct DecodeBench {
    BenchShape shape;                    // batch: sequences generated side by side
    int rounds = 0, steps = 0;           // timed steps of a round, the last before T
    std::vector<DecodeMixerBench> rows;  // the baseline first, timed against itself
};

// mixers.front() is the baseline; fp32. Throws UsageError for impossible settings.
DecodeBench bench_decode(const BenchShape& shape, const std::vector<BenchMixer>& mixers,
                         const std::vector<std::string>& overrides, const BenchOptions& options);

}  // namespace plumb
