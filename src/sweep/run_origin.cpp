#include "sweep/run_origin.h"

#include "sweep/file_end.h"

#include <nlohmann/json.hpp>

namespace plumb {

RunOrigin origin_of(const std::filesystem::path& run) {
    constexpr std::size_t kLongestLine = 4096;
    const auto json =
        nlohmann::json::parse(last_line(run / "attempts.jsonl", kLongestLine), nullptr, false);
    RunOrigin out;
    if (!json.is_object()) return out;
    const auto text = [&](const char* key, std::string& value) {
        const auto at = json.find(key);
        if (at != json.end() && at->is_string()) value = at->get<std::string>();
    };
    text("commit", out.commit);
    text("device", out.device);
    const auto numerics = json.find("numerics");
    if (numerics != json.end() && numerics->is_number_integer())
        out.numerics = numerics->get<long>();
    return out;
}

bool is_outdated(const RunOrigin& origin, int numerics) {
    return origin.numerics >= 0 && origin.numerics != numerics;
}

}  // namespace plumb
