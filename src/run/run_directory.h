// The folder of a run: who may write into it, what it holds already, its status and summary.
#pragma once

#include "config/config.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

enum class Resume : std::uint8_t { automatic, never, must };

// auto | never | must; throws UsageError otherwise.
Resume parse_resume(const std::string& text);

struct ResumeOptions {
    Resume resume = Resume::never;
    std::optional<long> from_step{};  // the checkpoint of this step, not the newest; 0: the start
    bool retry_diverged = false;      // go on from the last checkpoint of a run that diverged
};

struct RunStart {
    std::optional<std::filesystem::path> checkpoint;  // to continue from
    std::string ended;                                // done or diverged: there is nothing to do
    bool continues = false;                           // the folder holds this run already
};

// Whether `dir` holds no run, but files that keep one from beginning there.
bool holds_foreign_files(const std::filesystem::path& dir);

// Decides how a run starts in `dir`, writing nothing. Throws UsageError if the folder holds a run
// and resume is never, holds a run of other settings or data (run/run_settings.h), holds no
// run but other files, or no checkpoint of the step asked for.
RunStart inspect_run_directory(const std::filesystem::path& dir, const ResumeOptions& options,
                               const Config& config);

// Creates the folder with config.toml and manifest.json. On a resumed run the first manifest stays
// and the new one is added as manifest.N.json; config.toml takes the settings that changed. Throws
// IoError.
void create_run_directory(const std::filesystem::path& dir, const Config& config,
                          const nlohmann::ordered_json& manifest);

// running | done | interrupted | diverged | failed
void write_status(const std::filesystem::path& dir, const std::string& status);

// record.label; without one "attnres_block block_size=4": the mixer and its options that are not at
// their defaults.
std::string run_label(const Config& config);

}  // namespace plumb
