// Where a file comes from: which program, built how, run when and on what.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace plumb {

// Raised by hand when a default or any arithmetic changes a loss: runs of different numerics are
// not compared.
inline constexpr int kNumerics = 1;

// schema, version, numerics, date (UTC), command_line (argv), git, build and machine.
nlohmann::ordered_json provenance(const std::vector<std::string>& command_line);

}  // namespace plumb
