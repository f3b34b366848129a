// Runs the built program as a child process.
#pragma once

#include "core/clock.h"
#include "core/sha256.h"
#include "support/temp_folder.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace plumb::test {

struct Outcome {
    int code = -1;    // exit status; 128 + the signal if one ended it
    std::string out;  // stdout and stderr, one after the other
    double seconds = 0, max_rss_bytes = 0;
};

struct Launch {
    // Called while the program runs, with its process id; ends before the program is waited for.
    std::function<void(pid_t)> meanwhile{};
    rlim_t largest_file = RLIM_INFINITY;  // bytes; writes beyond it fail as on a full disk
    bool closed_output = false;           // stdout is a pipe that nobody reads
    std::string stdout_to{};              // a file or device instead of Outcome::out
    std::string stdin_from = "/dev/null";
};

// The built program.
const char* program_path();

inline std::string slurp(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

inline void spill(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

// In the child, between fork and exec.
[[noreturn]] inline void exec_program(const std::vector<std::string>& args, const Launch& launch,
                                      const std::string& out, const std::string& err) {
    const std::string& stdout_path = launch.stdout_to.empty() ? out : launch.stdout_to;
    const int out_fd = ::open(stdout_path.c_str(), O_WRONLY | O_CREAT, 0600);
    const int err_fd = ::open(err.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(::open(launch.stdin_from.c_str(), O_RDONLY), 0);
    ::dup2(out_fd, 1);
    if (int ends[2]; launch.closed_output && ::pipe(ends) == 0) {
        ::close(ends[0]);
        ::dup2(ends[1], 1);
    }
    ::dup2(err_fd, 2);
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
    if (launch.largest_file != RLIM_INFINITY) {
        const rlimit limit{launch.largest_file, launch.largest_file};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    std::vector<char*> argv{const_cast<char*>("plumb")};
    for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    ::execv(program_path(), argv.data());
    ::_exit(127);
}

inline Outcome run_plumb(const std::vector<std::string>& args, const Launch& launch = {}) {
    const TempFolder temp;
    const std::string out = temp / "out", err = temp / "err";
    const auto start = Clock::now();
    const pid_t child = ::fork();
    if (child == 0) exec_program(args, launch, out, err);
    if (launch.meanwhile) launch.meanwhile(child);
    int status = 0;
    rusage usage{};
    ::wait4(child, &status, 0, &usage);
    Outcome o;
    o.seconds = seconds_since(start);
    o.max_rss_bytes = 1024.0 * static_cast<double>(usage.ru_maxrss);
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    o.out = slurp(out) + slurp(err);
    return o;
}

// What a command that must succeed prints on stdout, alone: stderr may show progress.
inline nlohmann::json json_of(const std::vector<std::string>& args) {
    const TempFolder temp;
    Launch launch;
    launch.stdout_to = temp / "json";
    const Outcome o = run_plumb(args, launch);
    if (o.code != 0) throw std::runtime_error(o.out);
    return nlohmann::json::parse(slurp(launch.stdout_to));
}

// Sends `signal` once `path` exists, or after a minute.
inline std::function<void(pid_t)> signal_when_exists(std::filesystem::path path, int signal) {
    return [path = std::move(path), signal](pid_t child) {
        for (int i = 0; i < 60000 && !std::filesystem::exists(path); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ::kill(child, signal);
    };
}

// A run of a second or less: 2 sublayers of width 16.
inline std::vector<std::string> tiny_run(const std::filesystem::path& out,
                                         const std::vector<std::string>& more = {}) {
    std::vector<std::string> args{"train",
                                  "data.task=markov",
                                  "model.layers=1",
                                  "model.width=16",
                                  "model.heads=2",
                                  "model.context=16",
                                  "train.batch=2",
                                  "train.steps=20",
                                  "train.warmup=2",
                                  "train.eval_sequences=2",
                                  "train.eval_every=10",
                                  "train.log_every=1",
                                  "train.checkpoint_every=5",
                                  "record.probe_every=10",
                                  "--threads",
                                  "1",
                                  "--out",
                                  out};
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

// Relative path and SHA-256 of every file below a folder, in order: equal iff the folders are.
inline std::vector<std::pair<std::string, std::string>> content(const std::filesystem::path& dir) {
    std::vector<std::pair<std::string, std::string>> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir))
        files.emplace_back(std::filesystem::relative(entry.path(), dir).string(),
                           entry.is_regular_file() ? sha256_hex(slurp(entry.path())) : "");
    std::sort(files.begin(), files.end());
    return files;
}

inline std::filesystem::path checkpoint_of(const std::filesystem::path& run, long step) {
    return run / "checkpoints" / fmt::format("step_{:08}", step);
}

// The hashes in DONE are made to fit the files.
inline void sign(const std::filesystem::path& checkpoint) {
    std::string done;
    for (const char* name : {"model.safetensors", "optimizer.safetensors", "state.json"})
        done += sha256_hex(slurp(checkpoint / name)) + "  " + name + "\n";
    spill(checkpoint / "DONE", done);
}

}  // namespace plumb::test
