#include "cli/run_folder.h"

#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "run/run_condition.h"
#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace plumb {
namespace fs = std::filesystem;
namespace {

bool is_run(const fs::path& folder) {
    std::error_code ignored;
    return fs::exists(folder / "config.toml", ignored);
}

// Directly in the folder, by name.
std::vector<fs::path> runs_in(const fs::path& folder) {
    std::vector<fs::path> runs;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (is_run(it->path())) runs.push_back(it->path());
    std::sort(runs.begin(), runs.end());
    return runs;
}

}  // namespace

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
    if (is_run(run)) return;
    const std::vector<fs::path> below = runs_in(run);
    std::string next = "`plumb train --out DIR` makes one";
    if (!below.empty())
        next = fmt::format(
            "there {} below it; try `plumb {} {}`",
            below.size() == 1 ? std::string("is one") : fmt::format("are {}", below.size()),
            command, shell_quoted(below.front().string()));
    throw IoError(fmt::format("{} is not a run: it has no config.toml; {}", run.string(), next));
}

std::vector<TypedRun> typed_runs(const std::vector<std::string>& typed) {
    std::vector<TypedRun> out;
    for (const std::string& text : typed) {
        CheckpointName name = parse_checkpoint_name(text);
        const std::vector<fs::path> found =
            is_run(name.run) ? std::vector<fs::path>{} : runs_in(name.run);
        if (found.empty()) out.push_back({text, false});
        for (const fs::path& run : found) {
            name.run = run;
            out.push_back({name.text(), true});
        }
    }
    return out;
}

std::vector<std::string> for_each_run(const std::vector<TypedRun>& runs,
                                      const std::function<void(const std::string&)>& use) {
    std::vector<std::string> left_out;
    for (const TypedRun& run : runs) try {
            use(run.text);
        } catch (const IoError& e) {
            if (!run.found || left_out.size() + 1 == runs.size()) throw;
            left_out.push_back(fmt::format("{} is left out: {}", run.text, e.what()));
        }
    return left_out;
}

void print_notes(const std::vector<std::string>& notes) {
    for (const std::string& note : notes) fmt::print(stderr, "note: {}\n", printable(note));
}

void note_unfinished(const fs::path& run) {
    if (!is_run(run)) return;
    if (const std::string text = unfinished_text(run, run_condition(run)); !text.empty())
        print_notes({fmt::format("{} is not finished: {}", run.string(), text)});
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
