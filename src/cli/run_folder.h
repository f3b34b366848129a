// Finding things in the folder of a run, with errors that say what to type next.
#pragma once

#include "core/view.h"

#include <filesystem>
#include <string>

namespace plumb {

// Throws IoError unless `run` is a folder with a config.toml; names runs below it if there are any.
void require_run(const std::filesystem::path& run, const std::string& command);

// RUN/FOLDER/step_N.safetensors of the given step, or of the newest for step < 0. Throws IoError
// naming the steps there are; `hint` says how a run comes to have such files.
std::filesystem::path find_step_file(const std::filesystem::path& run, const std::string& folder,
                                     Index step, const std::string& hint);

}  // namespace plumb
