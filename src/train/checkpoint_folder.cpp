// The folder RUN/checkpoints: writing, replacing, finding. Removes only what Plumb itself names so.
#include "core/files.h"
#include "core/json.h"
#include "core/process.h"
#include "core/sha256.h"
#include "train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "step_", kHidden = ".tmp_", kOld = "old_";
constexpr const char* kBest = "best";
constexpr const char* kFiles[] = {"DONE", "model.safetensors", "optimizer.safetensors",
                                  "state.json"};

fs::path folder_of(const fs::path& run_dir) { return run_dir / "checkpoints"; }

std::string step_name(Index step) { return fmt::format("{}{:08d}", kPrefix, step); }

// The step in a name like step_00000500; -1 for any other name.
Index step_of(std::string_view name) {
    if (!name.starts_with(kPrefix)) return -1;
    Index step = -1;
    const char* end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
    return error == std::errc{} && at == end ? step : -1;
}

std::vector<fs::path> entries(const fs::path& folder) {
    std::vector<fs::path> out;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        out.push_back(it->path());
    if (error && error != std::errc::no_such_file_or_directory)
        throw_io_error("read", folder, error.value());
    return out;
}

// "best" for .tmp_best.HOST.PID and .tmp_old_best.HOST.PID; "" for what Plumb does not name so.
std::string hidden_name(const std::string& name) {
    if (!name.starts_with(kHidden)) return "";
    std::string_view rest = std::string_view(name).substr(kHidden.size());
    if (rest.starts_with(kOld)) rest.remove_prefix(kOld.size());
    const std::size_t dot = rest.find('.');
    const std::string_view what = rest.substr(0, dot);
    if (dot != std::string_view::npos && !is_process_tag(rest.substr(dot + 1))) return "";
    return what == kBest || step_of(what) >= 0 ? std::string(what) : "";
}

fs::path hidden_path(const fs::path& folder, std::string_view old, const std::string& name) {
    return folder / fmt::format("{}{}{}.{}", kHidden, old, name, process_tag());
}

// Removes the files of a checkpoint, DONE first, so that it never looks whole while parts are gone,
// and the folder with them unless somebody put something else there.
void remove_checkpoint(const fs::path& checkpoint) {
    std::error_code ignored;
    if (!fs::is_directory(fs::symlink_status(checkpoint, ignored))) return;
    for (const char* name : kFiles) remove_path(checkpoint / name);
    for (const fs::path& path : entries(checkpoint)) {
        const std::string whole = temporary_of(path);
        if (std::find(std::begin(kFiles), std::end(kFiles), whole) != std::end(kFiles))
            remove_path(path);
    }
    ::rmdir(checkpoint.c_str());
}

void remove_leftovers(const fs::path& folder) {
    // A kill between the two renames of replace() has hidden the best one.
    for (const fs::path& path : entries(folder)) {
        const std::string name = path.filename().string();
        if (hidden_name(name) == kBest && name.starts_with(std::string(kHidden) + "old_") &&
            fs::exists(path / "DONE") && !fs::exists(folder / kBest))
            rename_path(path, folder / kBest);
    }
    for (const fs::path& path : entries(folder))
        if (!hidden_name(path.filename().string()).empty()) remove_checkpoint(path);
}

// Makes the draft the checkpoint of this name, in place of one that may be there.
void replace(const fs::path& folder, const std::string& name, const fs::path& draft) {
    std::error_code ignored;
    const fs::path old = hidden_path(folder, kOld, name);
    const bool replaces = fs::exists(fs::symlink_status(folder / name, ignored));
    if (replaces) rename_path(folder / name, old);
    rename_path(draft, folder / name);
    sync_folder(folder);
    if (replaces) remove_checkpoint(old);
}

struct StoredPart {
    const char* name;
    std::span<const TensorRef> tensors;
};

void write_checkpoint(const fs::path& folder, const std::string& name, Index step,
                      std::span<const StoredPart> parts, const nlohmann::json& state) {
    make_folder(folder);
    remove_leftovers(folder);
    const fs::path draft = hidden_path(folder, "", name);
    make_folder(draft);
    std::string done;
    for (const StoredPart& part : parts)
        done += fmt::format(
            "{}  {}\n",
            write_safetensors(draft / part.name, part.tensors, {{"step", std::to_string(step)}}),
            part.name);
    const std::string text = state.dump(1) + "\n";
    write_file(draft / "state.json", text);
    done += fmt::format("{}  state.json\n", sha256_hex(text));
    write_file(draft / "DONE", done);
    replace(folder, name, draft);
}

}  // namespace

void save_checkpoint(const fs::path& run_dir, Index step, std::span<const TensorRef> model,
                     std::span<const TensorRef> optimizer, const nlohmann::json& state,
                     Index keep) {
    require(step >= 0 && keep >= 1, "save_checkpoint: step >= 0 and keep >= 1");
    const StoredPart parts[] = {{"model.safetensors", model}, {"optimizer.safetensors", optimizer}};
    write_checkpoint(folder_of(run_dir), step_name(step), step, parts, state);
    Index kept = 0;
    for (const auto& [old_step, path] : whole_checkpoints(run_dir))
        if (old_step <= step && ++kept > keep) remove_checkpoint(path);
}

void save_best_checkpoint(const fs::path& run_dir, Index step, std::span<const TensorRef> model,
                          const nlohmann::json& state) {
    const StoredPart parts[] = {{"model.safetensors", model}};
    write_checkpoint(folder_of(run_dir), kBest, step, parts, state);
}

void drop_checkpoints_after(const fs::path& run_dir, Index step) {
    for (const fs::path& path : entries(folder_of(run_dir)))
        if (step_of(path.filename().string()) > step) remove_checkpoint(path);
    const fs::path best = folder_of(run_dir) / kBest;
    try {
        if (ModelCheckpoint{best, {}, read_json_object<nlohmann::json>(best / "state.json")}
                .step() <= step)
            return;
    } catch (const IoError&) {  // damaged, or none
    }
    remove_checkpoint(best);
}

// ---- Finding -----------------------------------------------------------------------------------

std::vector<std::pair<Index, fs::path>> whole_checkpoints(const fs::path& run_dir) {
    std::vector<std::pair<Index, fs::path>> out;
    for (const fs::path& path : entries(folder_of(run_dir))) {
        const Index step = step_of(path.filename().string());
        std::error_code ignored;
        if (step >= 0 && fs::exists(path / "DONE", ignored)) out.emplace_back(step, path);
    }
    std::sort(out.rbegin(), out.rend());
    return out;
}

std::optional<fs::path> newest_checkpoint(const fs::path& run_dir) {
    const auto all = whole_checkpoints(run_dir);
    if (all.empty()) return std::nullopt;
    return all.front().second;
}

Index checkpoint_step(const fs::path& checkpoint) {
    const Index step = step_of(checkpoint.filename().string());
    if (step < 0) throw IoError(checkpoint.string() + " is not named like a checkpoint, step_N");
    return step;
}

std::string CheckpointName::text() const {
    return which.empty() ? run.string() : run.string() + "@" + which;
}

CheckpointName parse_checkpoint_name(const std::string& text) {
    const std::size_t at = text.rfind('@');
    std::error_code ignored;
    if (at == std::string::npos || fs::exists(text, ignored)) return {text, ""};
    std::string which = text.substr(at + 1);
    Index step = -1;
    const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), step);
    const bool number = error == std::errc{} && end == which.data() + which.size() && step >= 0;
    if (at == 0 || (which != kBest && !number))
        throw UsageError(fmt::format(
            "'{}': after @ comes a step or the word best, for example {}@500 or {}@best", text,
            at == 0 ? "runs/a" : text.substr(0, at), at == 0 ? "runs/a" : text.substr(0, at)));
    return {text.substr(0, at), number ? std::to_string(step) : which};
}

fs::path find_checkpoint(const CheckpointName& name) {
    const std::string run = name.run.string();
    const auto all = whole_checkpoints(name.run);
    std::error_code ignored;
    fs::path best = folder_of(name.run) / kBest;
    const bool has_best = fs::exists(best / "DONE", ignored);
    if (name.which == kBest && has_best) return best;
    if (!fs::is_directory(name.run, ignored))
        throw IoError(fmt::format("{}: no such folder; check the name of the run", run));
    if (all.empty() && !fs::exists(name.run / "config.toml", ignored))
        throw IoError(fmt::format("{} is not a run: it has no config.toml", run));
    if (all.empty())
        throw IoError(
            fmt::format("{} has no checkpoint yet; train it to the end, or lower "
                        "train.checkpoint_every",
                        run));
    if (name.which.empty()) return all.front().second;
    std::vector<std::string> there;
    for (const auto& [step, path] : all) {
        if (std::to_string(step) == name.which) return path;
        there.push_back(std::to_string(step));
    }
    if (has_best) there.emplace_back(kBest);
    throw IoError(fmt::format("{} has no checkpoint @{}; it has @{}", run, name.which,
                              fmt::join(there, ", @")));
}

}  // namespace plumb
