// Passes on a GPU (pass_bench.h) as a table, JSON and CSV.
#pragma once

#include "bench/bench_report.h"

namespace plumb {

// A row a mixer: means over its sites.
TextTable pass_table(const PassBenches& passes);
// By site, too.
nlohmann::ordered_json pass_json(const PassBenches& passes);
// A line a mixer, site and direction.
std::string passes_csv(const std::vector<PassBenches>& all);

}  // namespace plumb
