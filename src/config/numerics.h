// Numerics: which arithmetic makes a run. A change of the program that gives runs other losses is a
// row of the table here, which says of which runs. Only their numerics goes up: the others keep
// theirs, with it their ids, and go on being compared with what was made before. What moves a loss
// by rounding alone (tests/signature.txt says how far that is) is no row.
#pragma once

#include "config/config.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

struct NumericsChange {
    int since;         // numerics of these runs from then on, above that of the row before
    std::string key;   // runs where this setting is not at its default; empty: every run
    std::string what;  // what changed, in words
};
const std::vector<NumericsChange>& numerics_changes();
int newest_numerics();

// The last `since` of the rows that are about the run, 1 if none is. is_chosen(key): whether that
// setting is not at its default.
int numerics(const std::vector<NumericsChange>& changes,
             const std::function<bool(std::string_view)>& is_chosen);
int numerics(const Config& config);
// chosen: {key: value} of the settings that are not at their default, as a line of plan.jsonl has
// it.
int numerics(const nlohmann::ordered_json& chosen);

}  // namespace plumb
