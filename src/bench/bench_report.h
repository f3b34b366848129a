// What `plumb bench` found, as tables (terminal, Markdown), CSV and JSON.
#pragma once

#include "bench/decode_bench.h"
#include "bench/micro_bench.h"
#include "bench/pass_bench.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace plumb {

struct BenchReport {
    nlohmann::ordered_json machine;  // manifest without host and data
    std::vector<ShapeBench> compare, depth, context;
    std::vector<Bandwidth> bandwidths;  // with ops
    std::vector<MicroBench> ops;
    std::vector<DecodeBench> generate;
    std::vector<PassBenches> passes;  // on a GPU
};

// The machine part, for `command_line`.
nlohmann::ordered_json bench_machine(const std::vector<std::string>& command_line, int threads);

// A heading, titles (">" in front: right-aligned) and rows of cells.
struct TextTable {
    std::string heading;
    std::vector<std::string> titles;
    std::vector<std::vector<std::string>> rows;
};
std::vector<TextTable> bench_tables(const BenchReport& report);

// One line on the machine.
std::string bench_machine_line(const BenchReport& report);
// What the columns mean.
inline constexpr const char* kBenchLegend =
    R"(over: step time over the baseline's, median of paired rounds [quartiles]; the baseline's own
row is a second copy of it, so it shows the noise. of GEMM: flops of the model without its
mixer / step time / rate of its matrix products alone. moved: numbers of the storage type
per token and sublayer, in multiples of the width; paper: its Table 1, forward. The split is
of a profiled step: mixer includes the pre-norm, rest is what no part claims. floor: flops
at the best matrix-product rate or bytes at the bandwidth for that much memory, whichever
takes longer.
)";

inline constexpr const char* kPassLegend =
    R"(forward, backward: rows of activations that the passes say they move per token and
sublayer, with the pre-norm's; floor: the fewest they could, a row of float in bf16 being two;
us: of all tokens at a sublayer, by the device's events. plain: nothing is fused, the memory
carries any rule.
)";
// What the report needs of both.
std::string bench_legend(const BenchReport& report);

std::string bench_markdown(const BenchReport& report);
nlohmann::ordered_json bench_json(const BenchReport& report);
// One line a mixer, shape, precision and kind (compare, depth, context).
std::string bench_csv(const BenchReport& report);
std::string ops_csv(const BenchReport& report);
std::string generate_csv(const BenchReport& report);

}  // namespace plumb
