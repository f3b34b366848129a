// One process writes a run: a lock on RUN/.lock, held for the whole life of the process. The kernel
// frees it whatever ends the process, so that nothing is ever stale and no clock is involved. The
// file is never removed: a second one of that name would be a second lock. For file systems without
// locks there is a lease (run/run_lease.h) instead.
//
// While the lock is held the file says who holds it; at an orderly end it is emptied. What a killed
// holder left is found by the next (previous()).
#pragma once

#include "core/process.h"
#include "run/run_lease.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

namespace plumb {

// Another process writes the run. Nothing was written. Exit code 75.
struct RunBusy : std::runtime_error {
    RunBusy(const std::string& text, ProcessId who)
        : std::runtime_error(text), holder(std::move(who)) {}
    ProcessId holder;  // host "?" and pid 0 if it has not said yet
};

// "runs/a is being written by pid 4711 on node3 since ...": owner as the holder's file says it.
[[noreturn]] void throw_run_busy(const std::filesystem::path& run,
                                 const std::optional<nlohmann::ordered_json>& owner);

enum class LockKind : std::uint8_t { flock, lease };
// Throws UsageError for another text.
LockKind parse_lock_kind(const std::string& text);

class RunLock {
public:
    static constexpr const char* kName = ".lock";

    // Makes the folder where it is missing. Throws RunBusy naming the holder, IoError if the file
    // cannot be written or the file system has no locks.
    explicit RunLock(const std::filesystem::path& run, LockKind kind = LockKind::flock);
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;
    ~RunLock();

    // Throws RunBusy if another process holds the run now; makes and writes nothing.
    static void refuse_if_busy(const std::filesystem::path& run);

    // Adds to what the file says of this process: {"attempt": 2, ...}. With an attempt of its own,
    // that of previous() must have been recorded.
    void describe(const nlohmann::ordered_json& more);
    // What a holder that was killed had said of itself: the last one that had begun an attempt, if
    // one had.
    const std::optional<nlohmann::ordered_json>& previous() const { return previous_; }
    // Throws IoError if the folder is not the one that was locked: removed or moved meanwhile, and
    // perhaps another process's by now; RunBusy if a lease was lost.
    void check() const;

private:
    void take_file();

    std::filesystem::path run_;
    int fd_ = -1;
    nlohmann::ordered_json owner_;
    std::optional<nlohmann::ordered_json> previous_;
    std::optional<RunLease> lease_;  // instead of the file's lock
};

}  // namespace plumb
