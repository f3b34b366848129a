#include "train/checkpoint.h"

#include "core/check.h"
#include "core/files.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>
#include <vector>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "step_";
constexpr std::string_view kTemporary = ".tmp_";

fs::path folder_of(const fs::path& run_dir) { return run_dir / "checkpoints"; }

// The step in a name like step_00000500; -1 for any other name.
Index step_of(const std::string& name) {
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

// Whole checkpoints, newest first.
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

void remove_leftovers(const fs::path& run_dir) {
    for (const fs::path& path : entries(folder_of(run_dir)))
        if (path.filename().string().starts_with(kTemporary)) remove_path(path);
}

// Removes a checkpoint so that it never looks whole while parts are gone.
void retire(const fs::path& checkpoint) {
    const fs::path hidden = checkpoint.parent_path() /
                            fmt::format("{}old_{}", kTemporary, checkpoint.filename().string());
    remove_path(hidden);
    rename_path(checkpoint, hidden);
    remove_path(hidden);
}

}  // namespace

void save_checkpoint(const fs::path& run_dir, Index step, std::span<const TensorRef> model,
                     std::span<const TensorRef> optimizer, const nlohmann::json& state,
                     Index keep) {
    require(step >= 0 && keep >= 1, "save_checkpoint: step >= 0 and keep >= 1");
    const fs::path folder = folder_of(run_dir);
    make_folder(folder);
    remove_leftovers(run_dir);
    const std::string name = fmt::format("{}{:08d}", kPrefix, step);
    const fs::path draft = folder / (std::string(kTemporary) + name);
    make_folder(draft);
    const SafetensorsMetadata metadata{{"step", std::to_string(step)}};
    write_safetensors(draft / "model.safetensors", model, metadata);
    write_safetensors(draft / "optimizer.safetensors", optimizer, metadata);
    write_file(draft / "state.json", state.dump(1) + "\n");
    write_file(draft / "DONE", "");
    if (fs::exists(folder / name)) retire(folder / name);
    rename_path(draft, folder / name);
    sync_folder(folder);

    Index kept = 0;
    for (const auto& [old_step, path] : whole_checkpoints(run_dir))
        if (old_step <= step && ++kept > keep) retire(path);
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

Checkpoint load_checkpoint(const fs::path& checkpoint) {
    std::error_code ignored;
    if (!fs::exists(checkpoint / "DONE", ignored))
        throw IoError(
            fmt::format("{} is not a whole checkpoint: it has no file DONE", checkpoint.string()));
    Checkpoint out{SafetensorsFile::open(checkpoint / "model.safetensors"),
                   SafetensorsFile::open(checkpoint / "optimizer.safetensors"),
                   {}};
    const fs::path state = checkpoint / "state.json";
    try {
        out.state = nlohmann::json::parse(read_file(state));
    } catch (const nlohmann::json::exception& e) {
        throw IoError(fmt::format("{} is not valid JSON: {}", state.string(), e.what()));
    }
    return out;
}

void restore_tensors(const SafetensorsFile& file, std::span<const TensorTarget> targets) {
    // RUN/checkpoints/step_N/model.safetensors -> RUN/config.toml
    const fs::path run = file.path().parent_path().parent_path().parent_path();
    const auto refuse = [&](const std::string& tensor, const std::string& reason) {
        throw IoError(fmt::format("{}: tensor {} {}; the file belongs to the configuration {}",
                                  file.path().string(), tensor, reason,
                                  (run / "config.toml").string()));
    };
    std::set<std::string> known;
    for (const TensorTarget& t : targets) {
        require(known.insert(t.name).second, "target given twice: " + t.name);
        if (!file.contains(t.name)) refuse(t.name, "is missing");
        if (file.dtype(t.name) != t.dtype)
            refuse(t.name, fmt::format("is {}, {} is expected", file.dtype(t.name), t.dtype));
        if (file.shape(t.name) != t.shape)
            refuse(t.name, fmt::format("has the shape {}, {} is expected",
                                       shape_text(file.shape(t.name)), shape_text(t.shape)));
    }
    for (const std::string& name : file.names())
        if (known.count(name) == 0) refuse(name, "has no place in this model");
    for (const TensorTarget& t : targets) {
        const auto bytes = file.bytes(t.name);
        if (!bytes.empty()) std::memcpy(t.data, bytes.data(), bytes.size());
    }
}

}  // namespace plumb
