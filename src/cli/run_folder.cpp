#include "cli/run_folder.h"

#include "core/check.h"
#include "core/files.h"
#include "core/text.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace plumb {
namespace fs = std::filesystem;

void require_run(const fs::path& run, const std::string& command) {
    std::error_code error;
    const bool there = fs::exists(run, error);
    if (error) throw_io_error("read", run, error.value());
    if (!there)
        throw IoError(fmt::format("{} does not exist; `plumb train --out {}` makes a run there",
                                  run.string(), shell_quoted(run.string())));
    if (!fs::is_directory(run, error))
        throw IoError(fmt::format(
            "{} is a file, not the folder of a run; try `plumb {} {}`", run.string(), command,
            shell_quoted(run.has_parent_path() ? run.parent_path().string() : ".")));
    if (fs::exists(run / "config.toml", error)) return;
    std::vector<fs::path> below;
    for (fs::directory_iterator it(run, error), end; !error && it != end; it.increment(error))
        if (fs::exists(it->path() / "config.toml", error)) below.push_back(it->path());
    std::sort(below.begin(), below.end());
    std::string next = "`plumb train --out DIR` makes one";
    if (!below.empty())
        next = fmt::format(
            "there {} below it; try `plumb {} {}`",
            below.size() == 1 ? std::string("is one") : fmt::format("are {}", below.size()),
            command, shell_quoted(below.front().string()));
    throw IoError(fmt::format("{} is not a run: it has no config.toml; {}", run.string(), next));
}

fs::path find_step_file(const fs::path& run, const std::string& folder, Index step,
                        const std::string& hint) {
    std::vector<std::pair<Index, fs::path>> files;
    std::error_code error;
    for (fs::directory_iterator it(run / folder, error), end; !error && it != end;
         it.increment(error)) {
        const std::string name = it->path().filename().string();
        constexpr std::string_view prefix = "step_", suffix = ".safetensors";
        if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
        Index n = -1;
        const char* last = name.data() + name.size() - suffix.size();
        const auto [at, bad] = std::from_chars(name.data() + prefix.size(), last, n);
        if (bad == std::errc{} && at == last && n >= 0) files.emplace_back(n, it->path());
    }
    if (files.empty())
        throw IoError(
            fmt::format("{} has no step_*.safetensors; {}", (run / folder).string(), hint));
    std::sort(files.begin(), files.end());
    if (step < 0) return files.back().second;
    for (const auto& [n, path] : files)
        if (n == step) return path;
    std::vector<Index> steps;
    for (const auto& [n, path] : files) steps.push_back(n);
    throw IoError(fmt::format("{} has no step {}; it has {}", (run / folder).string(), step,
                              fmt::join(steps, ", ")));
}

}  // namespace plumb
