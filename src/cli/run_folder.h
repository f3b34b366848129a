// Finding things in the folder of a run, with errors that say what to type next.
#pragma once

#include "core/view.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace plumb {

// Throws IoError unless `run` is a folder with a config.toml; names runs below it if there are any.
void require_run(const std::filesystem::path& run, const std::string& command);

// What was typed for one or more runs: RUN, RUN@STEP or RUN@best, and for a folder of runs all that
// are directly in it, by name.
struct TypedRun {
    std::string text;    // with @STEP or @best as it was typed
    bool found = false;  // in a folder: one that cannot be used is left out, not an error
};
std::vector<TypedRun> typed_runs(const std::vector<std::string>& typed);

// Calls use(text) for each. Of what was found in a folder a run that cannot be read (IoError) is
// left out; the answer says which and why, a sentence each. Other errors are thrown, and the last
// one if nothing could be used.
std::vector<std::string> for_each_run(const std::vector<TypedRun>& runs,
                                      const std::function<void(const std::string&)>& use);

// Notes go to stderr, a line each: stdout is for what was asked for.
void print_notes(const std::vector<std::string>& notes);
// That the run is at work, was interrupted, failed or has diverged, and at which step; nothing of
// one that is done.
void note_unfinished(const std::filesystem::path& run);

// RUN/FOLDER/step_N.safetensors of the given step, or of the newest for step < 0. Throws IoError
// naming the steps there are; `hint` says how a run comes to have such files.
std::filesystem::path find_step_file(const std::filesystem::path& run, const std::string& folder,
                                     Index step, const std::string& hint);

}  // namespace plumb
