// The turns that processes took at a run.
//   attempts.jsonl  a line for each: who, where, from which step to which, how it ended. The line
//   of
//                   a killed one is added by the next, from what the lock's file says of it.
//   timing.json     what the attempts cost, written ahead of every checkpoint. Steps that a later
//                   attempt does again are taken off the earlier one: each is counted once. Nothing
//                   else in a run depends on the machine or the clock, but TensorBoard's events.
#pragma once

#include "run/run_lock.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace plumb {

struct AttemptFacts {
    std::string device;  // cpu, or the GPU's name
    int threads = 1;
    long tokens_per_step = 0;
    int numerics = 1;  // config/numerics.h
};

class Attempt {
public:
    // Adds the line of a killed predecessor. Throws IoError.
    Attempt(std::filesystem::path run, RunLock& lock, const AttemptFacts& facts, long from_step);
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    // Adds this one's line if end() did not: an error that nobody foresaw.
    ~Attempt();

    int number() const { return number_; }
    // Writes timing.json: `seconds` in training steps, of this attempt up to `step`.
    void save_times(long step, double seconds) const;
    // Adds the line. exit: as the program will end; why: one line for people.
    void end(long to_step, int exit, const std::string& why);

private:
    std::filesystem::path run_;
    RunLock& lock_;
    AttemptFacts facts_;
    int number_ = 1;
    long from_step_ = 0;
    std::string start_;
    nlohmann::ordered_json earlier_;  // entries of timing.json
    bool ended_ = false;
};

// Seconds in training steps and tokens per second: of timing.json, in runs of schema 1 of
// summary.json. Missing or damaged: zeros.
struct RunTimes {
    double seconds = 0, tokens_per_s = 0;
};
RunTimes run_times(const std::filesystem::path& run);

}  // namespace plumb
