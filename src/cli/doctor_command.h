// `plumb doctor`: what was found, what is off and how to turn it on, and a GEMM self-test.
#pragma once

#include <CLI/CLI.hpp>

namespace plumb {

void add_doctor_command(CLI::App& app);

}  // namespace plumb
