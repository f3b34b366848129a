#include "sweep/identity.h"

#include "config/numerics.h"
#include "core/sha256.h"

#include <fmt/format.h>

#include <algorithm>

namespace plumb {
std::string run_id(const Config& config, const std::string& data_fingerprint) {
    std::vector<std::string> lines{fmt::format("data = {}\n", data_fingerprint),
                                   fmt::format("numerics = {}\n", numerics(config))};
    for (const auto& [key, text] : chosen_values(config))
        if (find_field(key)->changes_numbers && key != "data.path")
            lines.push_back(fmt::format("{} = {}\n", key, text));
    std::sort(lines.begin(), lines.end());
    return sha256_hex(fmt::format("{}", fmt::join(lines, ""))).substr(0, 10);
}

}  // namespace plumb
