// What a run wrote, read back.
#pragma once

#include "support/run_program.h"

namespace plumb::test {

inline std::vector<nlohmann::json> lines_of(const std::filesystem::path& file) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(slurp(file));
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
}

inline nlohmann::json read_json(const std::filesystem::path& file) {
    return nlohmann::json::parse(slurp(file));
}

}  // namespace plumb::test
