#include "train/checkpoint.h"

#include "core/files.h"
#include "core/json.h"

#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <thread>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr const char* kDone = "DONE";

// ---- Reading -----------------------------------------------------------------------------------

// What DONE says: file -> SHA-256. Nothing for a checkpoint of schema 1.
std::map<std::string, std::string> promised_hashes(const fs::path& checkpoint) {
    std::istringstream lines(read_file(checkpoint / kDone));
    std::map<std::string, std::string> hashes;
    for (std::string hash, name; lines >> hash >> name;) hashes[name] = hash;
    return hashes;
}

void check_hash(const fs::path& checkpoint, const std::string& name) {
    const auto hashes = promised_hashes(checkpoint);
    const auto found = hashes.find(name);
    if (hashes.empty() ||
        (found != hashes.end() && file_sha256(checkpoint / name) == found->second))
        return;
    throw IoError(fmt::format("{} is damaged: its SHA-256 is not the one in {}",
                              (checkpoint / name).string(), (checkpoint / kDone).string()));
}

void require_whole(const fs::path& checkpoint) {
    std::error_code ignored;
    if (!fs::exists(checkpoint / kDone, ignored))
        throw IoError(
            fmt::format("{} is not a whole checkpoint: it has no file DONE", checkpoint.string()));
}

SafetensorsFile load_tensors(const fs::path& checkpoint, const std::string& name) {
    check_hash(checkpoint, name);
    return SafetensorsFile::open(checkpoint / name);
}

nlohmann::json load_state(const fs::path& checkpoint) {
    check_hash(checkpoint, "state.json");
    auto state = read_json_object<nlohmann::json>(checkpoint / "state.json");
    // A DONE that lost its content must not pass for one of schema 1.
    if (state.contains("schema") && promised_hashes(checkpoint).empty())
        throw IoError((checkpoint / kDone).string() + " is damaged: it has lost its content");
    return state;
}

std::string text_or_empty(const fs::path& file) {
    try {
        return read_file(file);
    } catch (const IoError&) {
        return "";
    }
}

}  // namespace

Checkpoint load_checkpoint(const fs::path& checkpoint) {
    require_whole(checkpoint);
    nlohmann::json state = load_state(checkpoint);
    return {load_tensors(checkpoint, "model.safetensors"),
            load_tensors(checkpoint, "optimizer.safetensors"), std::move(state)};
}

Index ModelCheckpoint::step() const {
    return json_at<std::int64_t>(state, "step", (path / "state.json").string());
}

ModelCheckpoint load_model(const CheckpointName& name) {
    constexpr int kAttempts = 50;  // ten failed in a row on a busy machine
    for (int attempt = 1;; ++attempt) {
        fs::path path;
        std::string done;
        try {
            path = find_checkpoint(name);
            require_whole(path);
            done = read_file(path / kDone);
            nlohmann::json state = load_state(path);
            ModelCheckpoint out{path, load_tensors(path, "model.safetensors"), std::move(state)};
            if (read_file(path / kDone) == done) return out;
        } catch (const IoError&) {
            const bool unchanged = !path.empty() && text_or_empty(path / kDone) == done;
            if (attempt >= kAttempts || (unchanged && !done.empty())) throw;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

void restore_tensors(const SafetensorsFile& file, std::span<const TensorTarget> targets,
                     const std::function<bool(const std::string&)>& optional) {
    const auto required = [&](const std::string& name) { return !optional || !optional(name); };
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
        if (!file.contains(t.name)) {
            if (required(t.name)) refuse(t.name, "is missing");
            continue;
        }
        if (file.dtype(t.name) != t.dtype)
            refuse(t.name, fmt::format("is {}, {} is expected", file.dtype(t.name), t.dtype));
        if (file.shape(t.name) != t.shape)
            refuse(t.name, fmt::format("has the shape {}, {} is expected",
                                       shape_text(file.shape(t.name)), shape_text(t.shape)));
    }
    for (const std::string& name : file.names())
        if (known.count(name) == 0 && required(name)) refuse(name, "has no place in this model");
    for (const TensorTarget& t : targets) {
        if (!file.contains(t.name)) continue;
        const auto bytes = file.bytes(t.name);
        copy_from_host(t.device, t.data, bytes.data(), bytes.size());
    }
}

}  // namespace plumb
