#include "record/stored_probe.h"

#include "core/check.h"
#include "formats/jsonl.h"
#include "record/measures.h"

#include <limits>
#include <map>

namespace plumb {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

bool is_index(const json& line, const char* key) {
    const auto at = line.find(key);
    return at != line.end() && at->is_number_integer() && *at >= 0 && *at < (Index{1} << 53);
}

bool is_text(const json& line, const char* key) {
    const auto at = line.find(key);
    return at == line.end() || at->is_string();
}

bool is_number(const json& x) { return x.is_number() || x.is_null(); }

// What is wrong with a line; empty: nothing.
std::string fault(const json& line) {
    if (!is_index(line, "step")) return "step is not a whole number";
    if (!is_index(line, "depth")) return "depth is not a whole number";
    for (const char* key : {"site", "kind"})
        if (!is_text(line, key)) return fmt::format("{} is not a text", key);
    for (const Measure* m : measures_of(MeasurePlace::depth)) {
        const auto at = line.find(m->key);
        if (at == line.end()) continue;
        bool fits = is_number(*at);
        if (m->list) {
            const std::size_t length = m->list(DepthRecord{}).size();
            fits = at->is_array() && at->size() == length &&
                   std::all_of(at->begin(), at->end(), is_number);
            if (!fits) return fmt::format("{} is not {} numbers", m->key, length);
        }
        if (!fits) return fmt::format("{} is not a number", m->key);
    }
    return "";
}

using Depths = std::map<Index, json>;

std::map<Index, Depths> read_probes(const fs::path& path) {
    std::map<Index, Depths> out;
    std::size_t number = 0;
    for (json& line : read_jsonl(path)) {
        ++number;
        if (const std::string what = fault(line); !what.empty())
            throw IoError(fmt::format("{}:{}: {}; is it from a run?", path.string(), number, what));
        json& place = out[line["step"].get<Index>()][line["depth"].get<Index>()];
        place = std::move(line);
    }
    return out;
}

// The last step with as many depths as any other.
Index last_whole(const std::map<Index, Depths>& probes) {
    Index step = -1;
    std::size_t most = 0;
    for (const auto& [s, depths] : probes)
        if (depths.size() >= most) step = s, most = depths.size();
    return step;
}

}  // namespace

double StoredProbe::number(std::size_t i, const std::string& key) const {
    const auto at = depths.at(i).find(key);
    return at != depths[i].end() && at->is_number() ? at->get<double>()
                                                    : std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> StoredProbe::numbers(const std::string& key) const {
    std::vector<double> out;
    for (std::size_t i = 0; i < depths.size(); ++i) out.push_back(number(i, key));
    return out;
}

std::string StoredProbe::text(std::size_t i, const std::string& key) const {
    const auto at = depths.at(i).find(key);
    return at != depths[i].end() && at->is_string() ? at->get<std::string>() : "";
}

StoredProbe read_stored_probe(const fs::path& run, Index step) {
    const fs::path path = run / "depth.jsonl";
    std::error_code ignored;
    if (!fs::exists(path, ignored))
        throw IoError(
            fmt::format("{} does not exist; runs have it when trained with "
                        "record.probe_every=N, N > 0",
                        path.string()));
    std::map<Index, Depths> probes = read_probes(path);
    if (probes.empty())
        throw IoError(path.string() + " is empty: the run has not reached its first probe yet");
    StoredProbe out{step < 0 ? last_whole(probes) : step, {}};
    if (probes.count(out.step) == 0) {
        std::vector<Index> steps;
        for (const auto& [s, depths] : probes) steps.push_back(s);
        throw IoError(fmt::format("{} has no step {}; it has {}", path.string(), step,
                                  fmt::join(steps, ", ")));
    }
    for (auto& [depth, line] : probes.at(out.step)) out.depths.push_back(std::move(line));
    return out;
}

}  // namespace plumb
