// plumb bench: what each depth mixer costs here, against a baseline in the same process.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

void add_bench_command(CLI::App& app);

}  // namespace plumb
