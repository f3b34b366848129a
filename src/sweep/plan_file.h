// plan.jsonl: the runs of a sweep in the order in which they were first planned. Lines are only
// added, so the index of a run, its line, is its own for ever: a job of another program that was
// told "run 17" means the same run after seeds or variants were added.
#pragma once

#include "sweep/sweep_plan.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace plumb {

struct PlanLine {
    long index = 0;
    std::string id, dir, variant, stage;
    long seed = 0;
    nlohmann::ordered_json json;  // the whole line
};

// The whole lines of SWEEP/plan.jsonl; a last one that was cut short is left out. Empty: no file.
// Throws IoError for a damaged line.
std::vector<PlanLine> read_plan_file(const std::filesystem::path& sweep);

// Sets index and dir of every run, those of its line where plan.jsonl has it.
void number_runs(std::vector<PlannedRun>& runs, const std::vector<PlanLine>& lines,
                 const std::filesystem::path& sweep);

// Appends the runs that the file lacks, holding a lock on it; then numbers all. Throws IoError.
void append_to_plan_file(std::vector<PlannedRun>& runs, const std::filesystem::path& sweep);

// Appends lines of another folder of the sweep whose runs this one lacks, with indices of this one.
void append_to_plan_file(const std::vector<PlanLine>& others, const std::filesystem::path& sweep);

}  // namespace plumb
