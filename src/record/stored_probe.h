// Reads depth.jsonl back: the lines of one probe of a run, checked against the table of measures.
#pragma once

#include "core/view.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

// The lines of a probe, in order of depth; each has integers "step" and "depth", and what is there
// of the measures has their form. Texts are as the file has them: not to be printed raw.
struct StoredProbe {
    Index step = 0;
    std::vector<nlohmann::json> depths;

    // A number of line i; NaN where there is none (or null: it was not finite).
    double number(std::size_t i, const std::string& key) const;
    // At all lines.
    std::vector<double> numbers(const std::string& key) const;
    // "" where there is none.
    std::string text(std::size_t i, const std::string& key) const;
};

// Of the given step; for step < 0 of the last one that is as deep as any (a kill may leave part of
// one). Of two lines for one depth the later counts. Throws IoError naming the file, and the line
// that is not what a run writes, or the steps that there are.
StoredProbe read_stored_probe(const std::filesystem::path& run, Index step);

}  // namespace plumb
