// Where a file comes from: which program, built how, run when and on what.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace plumb {

// schema, version, date (UTC), command_line (argv), git, build and machine.
nlohmann::ordered_json provenance(const std::vector<std::string>& command_line);

}  // namespace plumb
