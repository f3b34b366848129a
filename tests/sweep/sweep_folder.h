// A sweep file of tiny runs, for the program that was built.
#pragma once

#include "support/run_files.h"

#include <set>

namespace plumb::test {

// 2 variants x `seeds`; 2000 steps take a second.
inline std::filesystem::path write_sweep(const std::filesystem::path& folder, long seeds,
                                         long steps, const std::string& more = "") {
    spill(folder / "base.toml",
          fmt::format("[data]\ntask = \"copy\"\n[model]\nlayers = 1\nwidth = 16\nheads = 2\n"
                      "context = 64\n[train]\nsteps = {}\nbatch = 2\nwarmup = 2\n"
                      "eval_sequences = 2\neval_every = 100\nlog_every = 5\ncheckpoint_every = 25\n"
                      "[record]\nprobe_every = 100\n",
                      steps));
    spill(folder / "sweep.toml",
          fmt::format("# Do they differ?\n[sweep]\nbase = \"base.toml\"\nseeds = \"1..{}\"\n"
                      "baseline = \"standard\"\nout = \"{}\"\n{}\n"
                      "[[variant]]\nname = \"standard\"\n"
                      "[[variant]]\nname = \"attnres\"\nmixer.name = \"attnres\"\n",
                      seeds, (folder / "out").string(), more));
    return folder / "sweep.toml";
}

inline std::vector<std::filesystem::path> run_folders(const std::filesystem::path& sweep) {
    std::vector<std::filesystem::path> folders;
    for (const auto& entry : std::filesystem::directory_iterator(sweep))
        if (entry.is_directory() && !entry.path().filename().string().starts_with("."))
            folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    return folders;
}

// What has to be equal in any two makings of a sweep: relative path and SHA-256.
inline std::vector<std::pair<std::string, std::string>> results_of(
    const std::filesystem::path& sweep, long steps) {
    std::vector<std::pair<std::string, std::string>> out;
    const std::string last = fmt::format("checkpoints/step_{:08}/", steps);
    for (const auto& run : run_folders(sweep))
        for (auto& [name, hash] : content(run)) {
            const bool result = name == "metrics.jsonl" || name == "depth.jsonl" ||
                                name == "summary.json" || name == "config.toml" ||
                                name == "STATUS" || name.starts_with("matrix/") ||
                                name.starts_with(last) || name.starts_with("checkpoints/best/");
            if (result) out.emplace_back(run.filename().string() + "/" + name, hash);
        }
    return out;
}

// Whether every step stands in metrics.jsonl once.
inline bool every_step_once(const std::filesystem::path& run) {
    std::set<long> steps;
    for (const auto& line : lines_of(run / "metrics.jsonl"))
        if (!steps.insert(line.at("step").get<long>()).second) return false;
    return true;
}

}  // namespace plumb::test
