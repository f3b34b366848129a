// Every number that Plumb records by depth, and those of a run as a whole, described once:
// depth.jsonl, matrix/step_*.safetensors, TensorBoard, `plumb list measures`, `plumb inspect`,
// `plumb compare` and the figures read this table.
//
// A pre-norm makes every sublayer blind to the size of what it reads, so the same network can be
// written down with other sizes: zero-query `attnres` is the standard network with a mean in place
// of a sum. What changes with such bookkeeping is never compared between mixers; tests hold that
// the rest does not change.
#pragma once

#include "matrix/summary.h"
#include "record/depth_record.h"

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <vector>

namespace plumb {

enum class MeasurePlace : std::uint8_t {
    depth,    // a field of each line of depth.jsonl
    matrix,   // a tensor of matrix/step_*.safetensors
    summary,  // one number of a probe, computed from the others by the command it names
    metrics,  // a field of lines of metrics.jsonl
    outcome,  // a field of summary.json
    timing,   // a field of timing.json
};

// Which of two runs did better.
enum class Better : std::uint8_t { neither, less, more };

struct Measure {
    std::string key;   // in its file; tag in TensorBoard
    std::string name;  // a few words, for axes and titles
    std::string unit;  // "1": a plain number
    std::string meaning;
    std::string reduction;  // how tokens become one number
    bool comparable;        // between mixers; else "this mixer only"
    MeasurePlace place;
    // Where a line of depth.jsonl has it: one number, or a list with the columns it makes in CSV.
    std::optional<double> DepthRecord::*field = nullptr;
    nlohmann::ordered_json (*list)(const DepthRecord&) = nullptr;
    std::vector<std::string> columns{};
    std::vector<double> MatrixSummary::*tensor = nullptr;  // MeasurePlace::matrix
    // MeasurePlace::summary of a measure by depth: its key, and f(its numbers at depths 0..L+1, NaN
    // where there is none).
    std::string of{};
    double (*summarise)(std::span<const double> by_depth) = nullptr;
    Better better = Better::neither;
    bool headline = false;  // shown by `plumb inspect` and TensorBoard without being asked for
};

// Comparable ones first, in each place in the order they are shown.
std::span<const Measure> measures();
std::vector<Measure> measure_table();  // its rows, made anew

// Throws InternalError if there is none.
const Measure& measure(const std::string& key);

// Of one place.
std::vector<const Measure*> measures_of(MeasurePlace place);

// How a tensor of a matrix file is called: mean; of further ways in which sublayers read, mean.k.
std::string way_key(const std::string& key, int way);

// "depth", "matrix", "summary"; the same in words: "in depth.jsonl".
const char* place_text(MeasurePlace place);
const char* place_name(MeasurePlace place);

// "comparable" or "this mixer only"
const char* comparable_text(const Measure& m);

// {"key", "name", "unit", "meaning", "reduction", "comparable", "place"}, and "better": "less" or
// "more" where it is said.
nlohmann::ordered_json to_json(const Measure& m);

// All of it in a few sentences, for TensorBoard.
std::string description(const Measure& m);

// A line of depth.jsonl: step, depth, site, kind and every measure that exists there.
nlohmann::ordered_json to_json(long step, const DepthRecord& r);

}  // namespace plumb
