// Whole training steps of depth mixers against a baseline in one process: A B A B ... in rounds, so
// that whatever else the machine does falls on both. Two models are alive at a time.
#pragma once

#include "bench/bench_gemm.h"
#include "bench/bench_setup.h"
#include "core/context.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace plumb {

// Median and quartiles, linear between the two nearest values.
struct Spread {
    double median = 0, low = 0, high = 0;
};
Spread spread(std::vector<double> values);

// Where the time of a step goes: seconds by Part, and the step's own. What no part claims is
// rest().
struct StepParts {
    std::array<double, kParts> seconds{};
    double total = 0;
    double rest() const;
};

struct BenchOptions {
    Context context;
    std::string precision = "fp32";  // fp32 or bf16
    int rounds = 9;
    int steps = 2;  // timed steps of each model in a round
    // Called as the work goes on: fraction done, what is being done.
    std::function<void(double, const std::string&)> progress{};
};

struct MixerBench {
    BenchMixer mixer;
    Spread step;                 // seconds of a step; a round's figure is its median
    std::vector<double> ratios;  // step / mean of the baseline's before and after, by round
    Spread overhead;             // of the ratios, less 1
    double tokens_per_s = 0;
    double gemm_rate = 0;   // FLOP/s of the model's own products alone, measured in every round
    double gemm_share = 0;  // flops per token of the model without its mixer * tokens/s / gemm_rate
    StepParts parts;  // of profiled steps, which are not the timed ones; a GPU: the host's own
    double planned_bytes = 0, peak_bytes = 0;  // peak: growth of the process, 0 if not known
    Index params = 0, mixer_params = 0;
    // Numbers of the storage type the mixer moved per token and sublayer, in multiples of C: in
    // forward alone and in the whole step. 0: this mixer does not count.
    double moved_forward = 0, moved_step = 0;
    double moved_bytes = 0;               // bytes of a whole step
    std::optional<double> paper_forward;  // paper_moved
};

struct ShapeBench {
    BenchShape shape;  // as it ran, overrides applied
    std::string precision;
    Device device = Device::cpu;
    Index tokens = 0;            // of a step
    double flops_per_token = 0;  // of the model without its mixer
    int rounds = 0, steps = 0;
    std::vector<GemmTime> gemm;    // at the start
    std::vector<MixerBench> rows;  // the baseline first, timed against a second copy of itself
};

// mixers.front() is the baseline. Throws UsageError for impossible settings.
ShapeBench bench_shape(const BenchShape& shape, const std::vector<BenchMixer>& mixers,
                       const std::vector<std::string>& overrides, const BenchOptions& options);

// Two configs on the same data, in turn: steps of `other` as multiples of the baseline's.
struct StepRace {
    std::vector<double> ratios;  // by round
    Spread step;                 // seconds of the other's
};
StepRace race_steps(const Config& baseline, const Config& other, const Dataset& data,
                    const BenchOptions& options);

}  // namespace plumb
