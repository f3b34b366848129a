#include "data/token_folder.h"

#include "core/check.h"
#include "core/files.h"
#include "core/sha256.h"
#include "data/bpe_files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>
#include <vector>

namespace plumb {
namespace fs = std::filesystem;

namespace {

constexpr const char* kFiles[]{"train.bin", "val.bin",  "test.bin",
                               kBpeVocab,   kBpeMerges, "meta.json"};

// Something of this name, be it a link that leads nowhere.
bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(path, ignored));
}

enum class Found { nothing, part, all, other };

// What the folder holds of what is to be written.
Found look(const fs::path& folder, const TokenMeta& meta, const TokenBins& bins) {
    bool any = false, missing = false, other = false;
    for (const char* name : kFiles) {
        const fs::path path = folder / name;
        const auto wanted = bins.find(name);
        const bool is_meta = std::string_view(name) == "meta.json";
        if (!is_there(path)) {
            missing = missing || is_meta || wanted != bins.end();
            continue;
        }
        any = true;
        std::error_code ignored;
        if (is_meta || other) continue;  // compared below
        other = wanted == bins.end() || !fs::is_regular_file(path, ignored) ||
                fs::file_size(path, ignored) != wanted->second.size() ||
                sha256_hex(read_file(path)) != sha256_hex(wanted->second);
    }
    if (!other && is_there(folder / "meta.json")) {
        std::optional<TokenMeta> old;
        try {
            old = read_token_meta(folder);
        } catch (const IoError&) {  // not ours
        }
        other = !old || !old->same_content(meta);
    }
    return other ? Found::other : !any ? Found::nothing : missing ? Found::part : Found::all;
}

// What the folder is, for a refusal.
std::string name_of(const fs::path& folder) {
    try {
        if (const auto old = read_token_meta(folder))
            return fmt::format("{}, {}", old->name, old->tokenizer.kind());
    } catch (const IoError&) {
    }
    return "unknown";
}

// A file or link, not a folder.
void remove_file(const fs::path& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_io_error("remove", path, errno);
}

// What a kill left of AtomicFile.
void remove_temporaries(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (std::count(std::begin(kFiles), std::end(kFiles), temporary_of(it->path())) > 0 &&
            fs::is_regular_file(it->symlink_status(error)))
            found.push_back(it->path());
    for (const fs::path& path : found) remove_file(path);
}

}  // namespace

bool is_unfinished(const fs::path& folder) { return is_there(folder / kUnfinished); }

bool write_token_folder(const fs::path& folder, const TokenMeta& meta, const TokenBins& bins,
                        bool force) {
    const bool unfinished = is_unfinished(folder);
    if (!unfinished) {
        const Found found = look(folder, meta, bins);
        if (found == Found::all) return false;
        if (found == Found::other && !force)
            throw UsageError(fmt::format(
                "{} already holds token files with other content ({}); type another --out, or "
                "--force to replace them",
                folder.string(), name_of(folder)));
    }
    make_folder(folder);
    write_file(folder / kUnfinished,
               "plumb data prepare has not finished this folder; type the command again\n");
    if (unfinished) remove_temporaries(folder);
    for (const char* name : kFiles)
        if (!bins.contains(name)) remove_file(folder / name);
    for (const auto& [name, bytes] : bins) write_file(folder / name, bytes);
    write_file(folder / "meta.json", meta.to_json());
    remove_file(folder / kUnfinished);
    sync_folder(folder);
    return true;
}

}  // namespace plumb
