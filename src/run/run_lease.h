// The lock of a run where the file system has none (some network file systems): a lease. The file
// RUN/.owner is made by one process, as only one can, and touched every half minute. A holder that
// has not touched it for ten minutes, by the clock of the file server, is taken for dead; so a
// machine that sleeps for longer loses its run, which it sees before it writes again. Slower than a
// lock to find a dead holder, and generous for that reason: a live one must not be robbed.
#pragma once

#include <nlohmann/json.hpp>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace plumb {

class RunLease {
public:
    static constexpr const char* kName = ".owner";

    struct Times {
        std::chrono::milliseconds touch{30'000}, dead{600'000};
    };

    // Throws RunBusy if another holds it, IoError if the folder cannot be written. `owner`: what
    // the file says of this process.
    RunLease(const std::filesystem::path& run, nlohmann::ordered_json owner, Times times);
    RunLease(const RunLease&) = delete;
    RunLease& operator=(const RunLease&) = delete;
    ~RunLease();  // gives it back

    void describe(const nlohmann::ordered_json& more);
    // What a holder that was taken for dead had said.
    const std::optional<nlohmann::ordered_json>& previous() const { return previous_; }
    // Throws RunBusy if another process has taken this one for dead.
    void check() const;

    // Throws RunBusy if a live process holds a lease on the run.
    static void refuse_if_busy(const std::filesystem::path& run, Times times);

private:
    void take(Times times);
    void touch_until_stopped(std::chrono::milliseconds every);

    std::filesystem::path run_;
    nlohmann::ordered_json owner_;
    std::optional<nlohmann::ordered_json> previous_;
    std::mutex mutex_;
    std::condition_variable stop_signal_;
    bool stop_ = false;
    std::thread toucher_;
};

}  // namespace plumb
