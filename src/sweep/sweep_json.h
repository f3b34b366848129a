// sweep.json: what a sweep file says, resolved, for programs that read a sweep's folder.
#pragma once

#include "sweep/sweep_plan.h"

#include <nlohmann/json.hpp>

namespace plumb {

// {"schema": 1, "name", "hypothesis", "seeds", "looks", "baseline", "metric", "margin", "match",
//  "match_by", "keys": of grid and zip, "variants", "tune", "cull", "current": ids that the file
//  stands for now, "pending", "notes", "warnings"}
nlohmann::ordered_json sweep_json(const SweepPlan& plan);

// What a run is and needs: index (null before it has one), id, variant, stage, point, seed,
// numerics, counts.
nlohmann::ordered_json run_json(const PlannedRun& run);

// TOML text of a value as JSON: what is plain text, a number, a truth value or a list of texts in
// one is so in the other.
nlohmann::ordered_json json_value(const std::string& toml_text);
nlohmann::ordered_json json_point(const SweepPoint& point);

}  // namespace plumb
