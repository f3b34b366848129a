#include "run/run_settings.h"

#include "config/numerics.h"
#include "core/files.h"
#include "core/json.h"
#include "data/dataset.h"
#include "data/token_files.h"
#include "data/token_meta.h"
#include "train/schedule.h"

#include <algorithm>

namespace plumb {
namespace fs = std::filesystem;
namespace {

bool changes_numbers(const std::string& key) {
    const FieldInfo* field = find_field(key);
    return field == nullptr || field->changes_numbers;
}

std::string default_value(const std::string& key) {
    const FieldInfo* field = find_field(key);
    return field == nullptr ? "unset" : field->default_value;
}

// With `there` until `completed` and `here` from then on: the same steps as with `here` throughout?
bool same_steps(const TrainConfig& there, const TrainConfig& here, long completed) {
    if (here.steps < completed) return false;
    for (long step = 0; step < completed; ++step)
        if (learning_rate(there, step) != learning_rate(here, step)) return false;
    return true;
}

}  // namespace

LoadedConfig load_run_settings(const fs::path& dir, Resume resume, const fs::path& toml_path,
                               const std::vector<std::string>& overrides) {
    std::error_code ignored;
    const fs::path own = dir / "config.toml";
    const bool goes_on = resume != Resume::never && !dir.empty() && fs::exists(own, ignored);
    if (!goes_on || !toml_path.empty()) {
        LoadedConfig loaded = load_config(toml_path, overrides);
        const DataConfig& data = loaded.config.data;
        if (resume == Resume::automatic && !dir.empty() && !goes_on && data.path.empty() &&
            data.task.empty())
            throw UsageError(fmt::format(
                "--out {}: {}. To go on with a run, check its name; to begin one there, say what "
                "it trains on: data.path=DIR or data.task=NAME",
                dir.string(), fs::exists(dir, ignored) ? "holds no run" : "no such folder"));
        return loaded;
    }
    try {
        return load_run_config(dir, overrides);
    } catch (const UsageError& e) {
        if (overrides.empty()) throw;
        throw UsageError(fmt::format("{} holds a run, and settings are laid over its own: {}",
                                     dir.string(), e.what()));
    }
}

NumberSettings number_settings(const Config& config) {
    NumberSettings settings;
    for (const auto& [key, value] : values(config))
        if (changes_numbers(key) && key != "data.path" && key != "train.steps")
            settings[key] = value;
    return settings;
}

std::string setting_differences(const NumberSettings& there, const NumberSettings& here) {
    const auto value = [](const NumberSettings& settings, const std::string& key) {
        const auto at = settings.find(key);
        return at != settings.end() ? at->second : default_value(key);
    };
    NumberSettings keys = there;
    keys.insert(here.begin(), here.end());
    std::string text;
    for (const auto& [key, ignored] : keys)
        if (value(there, key) != value(here, key))
            text += fmt::format("{}{} ({} there, {} here)", text.empty() ? "" : ", ", key,
                                value(there, key), value(here, key));
    return text;
}

void require_same_settings(const fs::path& dir, const Config& there, const Config& here,
                           long completed) {
    const std::string where = dir.string();
    if (const auto differing = setting_differences(number_settings(there), number_settings(here));
        !differing.empty())
        throw UsageError(
            fmt::format("--out {}: holds a run of another config: {}. Settings that are not given "
                        "are those of the run: leave them out to resume it, or choose another "
                        "folder",
                        where, differing));
    if (there.train.steps == here.train.steps || same_steps(there.train, here.train, completed))
        return;
    if (here.train.steps < completed)
        throw UsageError(fmt::format(
            "--out {}: train.steps={} is less than the {} steps that the run has made; steps are "
            "not taken back. Give train.steps={} or more, or leave it out",
            where, here.train.steps, completed, completed));
    throw UsageError(fmt::format(
        "--out {}: train.steps cannot change from {} to {} after step {}: with train.schedule={} "
        "the steps already taken would have had other learning rates. A new run can start from its "
        "weights: plumb train --init-from {}@{} --out DIR",
        where, there.train.steps, here.train.steps, completed, here.train.schedule, where,
        completed));
}

void require_data_there(const fs::path& dir, const DataConfig& data, const std::string& next) {
    if (data.path.empty() || holds_token_files(data.path)) return;
    throw IoError(fmt::format(
        "the data of {} are not in data.path={}{}. If they are elsewhere now: {}", dir.string(),
        data.path, fs::path(data.path).is_relative() ? ", seen from this folder" : "", next));
}

void require_same_data(const fs::path& dir, const Config& there, const Config& here) {
    if (here.data.path.empty()) return;
    const auto refuse = [&] {
        throw UsageError(
            fmt::format("--out {}: holds a run that was trained on other data than {} "
                        "holds now; choose another --out to train on these",
                        dir.string(), here.data.path));
    };
    if (there.data.path == here.data.path) {
        const auto kept = text_meta(dir / "data"), now = text_meta(here.data.path);
        if (kept && now && !kept->same_content(*now)) refuse();
        // Files of another program say nothing of themselves: they are read.
        if ((kept && now) || !fs::exists(fs::path(here.data.path) / "train.bin")) return;
    }
    const auto manifest = read_json_object(dir / "manifest.json");
    const auto fingerprint = nlohmann::ordered_json::json_pointer("/data/fingerprint");
    if (!manifest.contains(fingerprint)) return;
    const auto data = open_dataset(here.data, here.model.resolved().context);
    if (manifest.at(fingerprint) != data->fingerprint()) refuse();
}

void require_same_numerics(const fs::path& dir, const Config& here) {
    const auto manifest = read_json_object(dir / "manifest.json");
    const auto there = manifest.find("numerics");
    if (there == manifest.end() || !there->is_number_integer() || *there == numerics(here)) return;
    throw UsageError(fmt::format(
        "--out {}: was begun with numerics {} and this program's are {} (plumb list numerics): "
        "what either does does not mix. Go on with the program that began it (git.commit of its "
        "manifest.json), or begin anew in another --out",
        dir.string(), there->get<long>(), numerics(here)));
}

}  // namespace plumb
