#include "run/run_directory.h"

#include "core/check.h"
#include "core/files.h"
#include "data/bpe_files.h"
#include "run/run_lock.h"
#include "run/run_settings.h"
#include "train/checkpoint.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace fs = std::filesystem;

namespace plumb {
namespace {

std::map<std::string, std::string> value_map(const Config& config) {
    std::map<std::string, std::string> map;
    for (auto& [key, value] : values(config)) map[key] = value;
    return map;
}

std::string read_status(const fs::path& dir) {
    if (!fs::exists(dir / "STATUS")) return "";
    std::string text = read_file(dir / "STATUS");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

// "manifest.3.json": `middle` are digits between the two ends.
bool is_numbered(const std::string& name, std::string_view begin, std::string_view end) {
    if (!name.starts_with(begin) || !name.ends_with(end) ||
        name.size() <= begin.size() + end.size())
        return false;
    return std::all_of(name.begin() + static_cast<std::ptrdiff_t>(begin.size()),
                       name.end() - static_cast<std::ptrdiff_t>(end.size()),
                       [](unsigned char c) { return std::isdigit(c); });
}

// A file that a run writes whole, in its folder or in matrix/.
bool is_run_file(const std::string& name) {
    static const std::set<std::string> names{
        "config.toml", "manifest.json", "STATUS",  "summary.json", "metrics.jsonl", "depth.jsonl",
        "timing.json", "meta.json",     kBpeVocab, kBpeMerges,     RunLease::kName};
    return names.contains(name) || is_numbered(name, "manifest.", ".json") ||
           is_numbered(name, "step_", ".safetensors");
}

// What a kill inside write_file leaves of a run: nothing that anybody else may have made.
bool is_leftover(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(fs::symlink_status(path, ignored)) &&
           is_run_file(temporary_of(path));
}

// What may be in a folder before it is a run.
bool is_no_content(const fs::path& path) {
    const std::string name = path.filename().string();
    return is_leftover(path) || name == RunLock::kName || name.starts_with(RunLease::kName) ||
           name.starts_with(".clock.") || name == "log.txt";  // what a sweep's child prints
}

std::vector<fs::path> entries(const fs::path& dir) {
    if (!fs::exists(dir)) return {};
    return {fs::directory_iterator(dir), fs::directory_iterator()};
}

// The checkpoint to go on from; none: the start.
std::optional<fs::path> resume_point(const fs::path& dir, const ResumeOptions& options) {
    if (options.from_step == 0L) return std::nullopt;
    if (options.from_step) try {
            return find_checkpoint({dir, std::to_string(*options.from_step)});
        } catch (const IoError& e) {
            throw UsageError(fmt::format("--resume-from {}: {}", *options.from_step, e.what()));
        }
    const auto newest = newest_checkpoint(dir);
    if (options.resume == Resume::must && !newest)
        throw UsageError(
            fmt::format("--resume must: {} has no finished checkpoint; --resume auto "
                        "starts it again",
                        dir.string()));
    return newest;
}

}  // namespace

Resume parse_resume(const std::string& text) {
    if (text == "auto") return Resume::automatic;
    if (text == "never") return Resume::never;
    if (text == "must") return Resume::must;
    throw UsageError(fmt::format("--resume {}: use auto, never or must", text));
}

bool holds_foreign_files(const fs::path& dir) {
    const std::vector<fs::path> found = entries(dir);
    return !fs::exists(dir / "config.toml") &&
           !std::all_of(found.begin(), found.end(), is_no_content);
}

RunStart inspect_run_directory(const fs::path& dir, const ResumeOptions& options,
                               const Config& config) {
    const std::string where = dir.string();
    if (fs::exists(dir) && !fs::is_directory(dir))
        throw UsageError(fmt::format("--out {}: is a file; choose another folder", where));
    const bool has_run = fs::exists(dir / "config.toml");
    if (!has_run) {
        if (holds_foreign_files(dir))
            throw UsageError(fmt::format(
                "--out {}: holds files that are not a run; choose a new or empty folder", where));
        if (options.resume == Resume::must || options.from_step)
            throw UsageError(fmt::format("{}: {} holds no run; check --out",
                                         options.from_step ? "--resume-from" : "--resume must",
                                         where));
        return {};
    }
    if (options.resume == Resume::never)
        throw UsageError(fmt::format(
            "--out {}: holds a run (status: {}); continue it with --resume auto, or choose another "
            "folder. Nothing was written",
            where, read_status(dir)));
    const Config there = load_run_config(dir);
    RunStart start{resume_point(dir, options), "", true};
    const long completed = start.checkpoint ? checkpoint_step(*start.checkpoint) : 0;
    require_same_settings(dir, there, config, completed);
    const std::string status = read_status(dir);
    const bool over = status == "done" || (status == "diverged" && !options.retry_diverged);
    if (over && !options.from_step && there.train.steps == config.train.steps) {
        require_same_data(dir, there, config);
        start.ended = status;
    } else {
        require_same_numerics(dir, config);
    }
    return start;
}

void create_run_directory(const fs::path& dir, const Config& config,
                          const nlohmann::ordered_json& manifest) {
    make_folder(dir);
    for (const fs::path& folder : {dir, dir / "matrix", dir / "data"})
        for (const fs::path& path : entries(folder))
            if (is_leftover(path)) remove_path(path);
    // First what makes the folder a run, so that one killed here can be resumed.
    const std::string settings = to_toml(config);
    if (!fs::exists(dir / "config.toml") || read_file(dir / "config.toml") != settings)
        write_file(dir / "config.toml", settings);
    fs::path path = dir / "manifest.json";
    for (int n = 2; fs::exists(path); ++n) path = dir / fmt::format("manifest.{}.json", n);
    write_file(path, manifest.dump(2) + "\n");
    write_status(dir, "running");
}

void write_status(const fs::path& dir, const std::string& status) {
    write_file(dir / "STATUS", status + "\n");
}

std::string run_label(const Config& config) {
    if (!config.record.label.empty()) return config.record.label;
    Config defaults;
    defaults.mixer.name = config.mixer.name;
    const auto standard = value_map(defaults);
    std::string label = config.mixer.name;
    for (const auto& [key, value] : value_map(config))
        if (key.starts_with("mixer.") && (!standard.contains(key) || standard.at(key) != value))
            label += fmt::format(" {}={}", key.substr(6), value);
    std::erase(label, '"');
    return label;
}

}  // namespace plumb
