// Every op of a training step alone, against its floor: the time its flops take at the best
// matrix-product rate, or its bytes at the memory bandwidth measured for that much memory.
#pragma once

#include "bench/bandwidth.h"
#include "bench/bench_gemm.h"
#include "bench/bench_setup.h"

#include <functional>
#include <string>
#include <vector>

namespace plumb {

struct MicroBench {
    std::string shape, precision, op;  // "gemm up dw", "attention backward", "mixer mhc forward"
    double seconds = 0;  // one call, median, of the best of three sweeps; a mixer: one sublayer
    double flops = 0, bytes = 0;  // bytes: read and written once. 0: not counted
    double floor = 0;             // seconds; 0: not known
    std::string bound;            // "flops" or "bytes"
};

// What `seconds` takes at least. Sets floor and bound.
void set_floor(MicroBench& m, double best_flops_per_s, const std::vector<Bandwidth>& bandwidths,
               double working_set);

// Throws UsageError for impossible settings. progress: as BenchOptions::progress.
std::vector<MicroBench> micro_bench(
    const BenchShape& shape, const std::vector<BenchMixer>& mixers,
    const std::vector<std::string>& overrides, const Context& ctx, const std::string& precision,
    const std::vector<Bandwidth>& bandwidths,
    const std::function<void(double, const std::string&)>& progress);

}  // namespace plumb
