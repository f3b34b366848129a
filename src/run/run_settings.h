// Settings of a run that goes on: which may change on the way, and which make it another run.
#pragma once

#include "config/config.h"
#include "run/run_directory.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace plumb {

// The settings of a run that may have begun: where `dir` holds a run and resume allows it to go on,
// those of its config.toml with the overrides over them; otherwise load_config's. A settings file
// stands for a whole config: with one, what it does not say is at its default. Throws as
// load_config.
LoadedConfig load_run_settings(const std::filesystem::path& dir, Resume resume,
                               const std::filesystem::path& toml_path,
                               const std::vector<std::string>& overrides);

// Key and TOML text of the settings that change the numbers of a run. data.path (the fingerprint of
// the data stands for it) and train.steps are not among them.
using NumberSettings = std::map<std::string, std::string>;
NumberSettings number_settings(const Config& config);
// "train.lr (0.001 there, 0.002 here), ..."; "" if they agree. What one does not have, as it is of
// another version or mixer, counts as at its default.
std::string setting_differences(const NumberSettings& there, const NumberSettings& here);

// Throws UsageError if the run in `dir` with the settings `there`, at step `completed`, cannot go
// on with `here`: numbers would change, or train.steps where the learning rates of the steps
// already taken depend on it. Names what differs and what to type.
void require_same_settings(const std::filesystem::path& dir, const Config& there,
                           const Config& here, long completed);

// Throws IoError where the token files of the run in `dir` are not in data.path, as for a run that
// was copied or moved. Preparing a text there would make them other data: the advice is `next`, a
// command that is told where they are now. Built-in tasks are always there.
void require_data_there(const std::filesystem::path& dir, const DataConfig& data,
                        const std::string& next);

// Throws UsageError if data.path names other data than the run in `dir` was made with. A run that
// has ended needs no data: where they are gone and nobody names others, nothing is compared.
void require_same_data(const std::filesystem::path& dir, const Config& there, const Config& here);

// Throws UsageError if the run in `dir` was begun by a program of other numerics
// (config/numerics.h): its further steps would not be those of an unbroken run.
void require_same_numerics(const std::filesystem::path& dir, const Config& here);

}  // namespace plumb
