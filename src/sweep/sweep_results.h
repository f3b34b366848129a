// What a finished run says of itself, as far as a board needs it.
#pragma once

#include "sweep/sweep_plan.h"

#include <optional>
#include <string>

namespace plumb {

// The metric of summary.json; nothing if it is not there.
std::optional<double> result_of(const std::filesystem::path& run, const std::string& metric);

// The lowest so far.
class BestResult {
public:
    // A finished run; tuning has a winner of its own. Returns its result.
    std::optional<double> add(const PlannedRun& run, const std::string& metric);
    void add(std::optional<double> value, const std::string& stage, const std::string& variant,
             long seed);
    std::string text() const;  // "1.3967 attnres s1"; "": none

private:
    std::optional<double> value_;
    std::string name_;
};

}  // namespace plumb
