// The whole configuration of a run. The tables visit their fields (core/field.h); everything here
// follows from that one visit: TOML keys, overrides, the resolved config.toml, JSON and help.
//
//     extends = "base.toml"        # relative to this file; later values win
//     [model]
//     layers = 12
//
//     plumb train -c run.toml model.layers=24 mixer=attnres_block mixer.block_size=4
#pragma once

#include "core/field.h"
#include "data/data_config.h"
#include "mixers/mixer_config.h"
#include "model/model_config.h"
#include "record/record_config.h"
#include "train/train_config.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plumb {

struct Config {
    ModelConfig model;
    MixerConfig mixer;
    TrainConfig train;
    DataConfig data;
    RecordConfig record;
};

struct LoadedConfig {
    Config config;
    // Full key -> "default", "run.toml:4" or "command line".
    std::map<std::string, std::string> origin;
};

// Reads the file (none if the path is empty), what it extends, then the overrides `key=value`
// (`mixer=NAME` is short for `mixer.name=NAME`), and validates the result. Throws UsageError for an
// unknown key (with the nearest valid one), a wrong type, a value outside the choices or the range,
// an option of another mixer, optimizer or task than the chosen one, a cycle of `extends`, or
// broken TOML; IoError if a file cannot be read.
LoadedConfig load_config(const std::filesystem::path& toml_path,
                         const std::vector<std::string>& overrides);

// A setting as typed on a command line, and where it was said: "sweep.toml:12".
struct PlacedSetting {
    std::string key, value, where;
};
// `base` with the settings over it, later ones over earlier ones; checked as a whole. Throws
// UsageError as load_config.
LoadedConfig with_settings(const LoadedConfig& base, const std::vector<PlacedSetting>& settings);

// The config.toml of a run's folder, those of earlier versions too: what they counted in batches is
// turned into the same sequences. Throws as load_config.
Config load_run_config(const std::filesystem::path& run);
// The same with the overrides `key=value` over it.
LoadedConfig load_run_config(const std::filesystem::path& run,
                             const std::vector<std::string>& overrides);

// Ranges that need no other module to judge. Throws UsageError naming key and range. Extents of the
// model are checked by ModelConfig::resolved().
void validate(const Config& config);

// Throws UsageError unless exactly one of data.path and data.task is set.
void require_data(const Config& config);

// TOML that load_config reads back to the same bits. Options of other mixers, optimizers and tasks
// than the chosen ones are left out: they are at their defaults.
std::string to_toml(const Config& config);
// {"model": {"layers": 4, ...}, ...}, the same fields as to_toml.
nlohmann::ordered_json to_json(const Config& config);
// Key and value as TOML text, the same fields as to_toml. For tables of settings.
std::vector<std::pair<std::string, std::string>> values(const Config& config);
// Those of them that are not at their default.
std::vector<std::pair<std::string, std::string>> chosen_values(const Config& config);

struct FieldInfo {
    std::string key;            // model.layers
    std::string type;           // integer, number, boolean, text
    std::string default_value;  // as TOML text
    std::string help;
    Choices choices;      // empty: any
    std::string allowed;  // range or choices in words; empty: any
    std::vector<std::string>
        owners;            // mixers, optimizers or tasks that read it; empty: always read
    std::string selector;  // of the owners: mixer.name, train.optimizer or data.task
    bool changes_numbers;  // false: any value gives the same losses, to the bit
    std::string kind;      // choices that are rows of `plumb list KIND`; empty: they are none
};
const std::vector<FieldInfo>& fields();
// nullptr: there is none.
const FieldInfo* find_field(std::string_view key);

// A key of [model] or of the table of a sublayer, which say what the model is beside its mixer.
bool is_model_key(std::string_view key);

// For `key` that is none: "; did you mean 'train.lr'?", or, where no key is near, where to look.
std::string suggest_key(const std::string& key);

}  // namespace plumb
