#include "experiment/run_directory.h"

#include "core/check.h"
#include "core/files.h"
#include "train/checkpoint.h"

#include <algorithm>
#include <map>
#include <vector>

namespace fs = std::filesystem;

namespace plumb {
namespace {

std::map<std::string, std::string> value_map(const Config& config) {
    std::map<std::string, std::string> map;
    for (auto& [key, value] : values(config)) map[key] = value;
    return map;
}

// "train.lr (0.001 there, 0.002 here), ..." for what changes the numbers of a run.
std::string differences(const Config& there, const Config& here) {
    std::map<std::string, std::string> a = value_map(there), b = value_map(here);
    for (const auto& [key, value] : b) a.emplace(key, "unset");
    std::string text;
    for (const auto& [key, value] : a) {
        const std::string now = b.contains(key) ? b.at(key) : "unset";
        if (value == now || key == "data.path" || key.starts_with("record.")) continue;
        text += fmt::format("{}{} ({} there, {} here)", text.empty() ? "" : ", ", key, value, now);
    }
    return text;
}

std::string read_status(const fs::path& dir) {
    if (!fs::exists(dir / "STATUS")) return "";
    std::string text = read_file(dir / "STATUS");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

// What a kill inside write_file leaves.
bool is_leftover(const fs::path& path) {
    const std::string name = path.filename().string();
    return name.starts_with(".") && name.find(".tmp") != std::string::npos;
}

std::vector<fs::path> entries(const fs::path& dir) {
    if (!fs::exists(dir)) return {};
    return {fs::directory_iterator(dir), fs::directory_iterator()};
}

}  // namespace

Resume parse_resume(const std::string& text) {
    if (text == "auto") return Resume::automatic;
    if (text == "never") return Resume::never;
    if (text == "must") return Resume::must;
    throw UsageError(fmt::format("--resume {}: use auto, never or must", text));
}

RunStart inspect_run_directory(const fs::path& dir, Resume resume, const Config& config) {
    const std::string where = dir.string();
    if (fs::exists(dir) && !fs::is_directory(dir))
        throw UsageError(fmt::format("--out {}: is a file; choose another folder", where));
    const bool has_run = fs::exists(dir / "config.toml");
    if (!has_run) {
        const std::vector<fs::path> found = entries(dir);
        if (!std::all_of(found.begin(), found.end(), is_leftover))
            throw UsageError(fmt::format(
                "--out {}: holds files that are not a run; choose a new or empty folder", where));
        if (resume == Resume::must)
            throw UsageError(fmt::format("--resume must: {} holds no run; check --out", where));
        return {};
    }
    if (resume == Resume::never)
        throw UsageError(fmt::format(
            "--out {}: holds a run (status: {}); continue it with --resume auto, or choose another "
            "folder. Nothing was written",
            where, read_status(dir)));
    const std::string differing = differences(load_config(dir / "config.toml", {}).config, config);
    if (!differing.empty())
        throw UsageError(
            fmt::format("--out {}: holds a run of another config: {}. Give the same "
                        "settings to resume it, or choose another folder",
                        where, differing));
    RunStart start{newest_checkpoint(dir), read_status(dir) == "done", true};
    if (resume == Resume::must && !start.checkpoint)
        throw UsageError(
            fmt::format("--resume must: {} has no finished checkpoint; --resume auto "
                        "starts it again",
                        where));
    return start;
}

void create_run_directory(const fs::path& dir, const Config& config,
                          const nlohmann::ordered_json& manifest) {
    make_folder(dir);
    for (const fs::path& folder : {dir, dir / "matrix"})
        for (const fs::path& path : entries(folder))
            if (is_leftover(path)) remove_path(path);
    // First what makes the folder a run, so that one killed here can be resumed.
    if (!fs::exists(dir / "config.toml")) write_file(dir / "config.toml", to_toml(config));
    fs::path path = dir / "manifest.json";
    for (int n = 2; fs::exists(path); ++n) path = dir / fmt::format("manifest.{}.json", n);
    write_file(path, manifest.dump(2) + "\n");
    write_status(dir, "running");
}

void write_status(const fs::path& dir, const std::string& status) {
    write_file(dir / "STATUS", status + "\n");
}

std::string run_label(const MixerConfig& mixer) {
    Config config, defaults;
    config.mixer = mixer;
    defaults.mixer.name = mixer.name;
    const auto standard = value_map(defaults);
    std::string label = mixer.name;
    for (const auto& [key, value] : value_map(config))
        if (key.starts_with("mixer.") && (!standard.contains(key) || standard.at(key) != value))
            label += fmt::format(" {}={}", key.substr(6), value);
    std::erase(label, '"');
    return label;
}

}  // namespace plumb
