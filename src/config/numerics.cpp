#include "config/numerics.h"

#include <algorithm>

namespace plumb {

const std::vector<NumericsChange>& numerics_changes() {
    static const std::vector<NumericsChange> changes{
        {2, "model.dropout", "the masks of dropout: eight neighbouring channels are one counter's"},
    };
    return changes;
}

int newest_numerics() { return numerics_changes().back().since; }

int numerics(const std::vector<NumericsChange>& changes,
             const std::function<bool(std::string_view)>& is_chosen) {
    int found = 1;
    for (const NumericsChange& change : changes)
        if (change.key.empty() || is_chosen(change.key)) found = change.since;
    return found;
}

int numerics(const Config& config) {
    const auto chosen = chosen_values(config);
    return numerics(numerics_changes(), [&](std::string_view key) {
        return std::any_of(chosen.begin(), chosen.end(),
                           [&](const auto& setting) { return setting.first == key; });
    });
}

int numerics(const nlohmann::ordered_json& chosen) {
    return numerics(numerics_changes(),
                    [&](std::string_view key) { return chosen.contains(std::string(key)); });
}

}  // namespace plumb
