#include "run/run_lock.h"

#include "core/clock.h"
#include "core/files.h"
#include "core/json.h"
#include "plumb/build_info.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace plumb {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

Json owner_of(const ProcessId& p) {
    return {{"host", p.host},     {"boot_id", p.boot_id},
            {"pid", p.pid},       {"start_ticks", p.start_ticks},
            {"since", utc_now()}, {"plumb", build_info::version}};
}

// What the file says; nothing if it is empty or was caught while it was written.
std::optional<Json> read_owner(int fd) {
    std::string text(65536, '\0');
    const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    try {
        Json json = parse_json(text, RunLock::kName);
        if (json.is_object()) return json;
    } catch (const IoError&) {
    }
    return std::nullopt;
}

template <class T>
T field(const Json& json, const char* key, T otherwise) {
    try {
        return json.value(key, otherwise);
    } catch (const Json::exception&) {  // of another type: the file is damaged
        return otherwise;
    }
}

ProcessId holder_of(const std::optional<Json>& owner) {
    if (!owner) return {"?", "", 0, 0};
    return {field(*owner, "host", std::string("?")), field(*owner, "boot_id", std::string()),
            field(*owner, "pid", 0L), field(*owner, "start_ticks", 0LL)};
}

std::string holder_text(const std::optional<Json>& owner) {
    if (!owner) return "another process that is just starting";
    const ProcessId p = holder_of(owner);
    const std::optional<bool> alive = is_running(p);
    return fmt::format("pid {} on {} since {}{}", p.pid, p.host,
                       field(*owner, "since", std::string("?")), alive && *alive ? " (alive)" : "");
}

// True if this descriptor has the lock now, false if another has it. One that only asks
// (refuse_if_busy) has it too, for a moment: hence the second and later tries.
bool take(int fd, const fs::path& path) {
    constexpr int kTries = 10;
    for (int i = 0; i < kTries; ++i) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) break;
        if (i + 1 == kTries) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const int error = errno;
    if (error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL)
        throw IoError(fmt::format(
            "cannot lock {}: {}. This file system has no locks, and without one two processes can "
            "ruin a run; add --lock lease, or choose an --out on another disk",
            path.string(), std::strerror(error)));
    throw_io_error("lock", path, error);
}

// What the holder before this one had said, until there is an attempt of this one's own: whose
// attempt nobody has recorded is not forgotten if this process is killed as well.
constexpr const char* kBefore = "before";

// The last attempt that the files know of: of a holder that was killed before it began one, the one
// before it.
std::optional<Json> last_attempt(const std::optional<Json>& owner) {
    if (!owner || owner->contains("attempt")) return owner;
    const auto before = owner->find(kBefore);
    return before != owner->end() && before->is_object() ? std::optional<Json>(*before) : owner;
}

void write_owner(int fd, const fs::path& path, const std::string& text) {
    if (::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
        ::ftruncate(fd, static_cast<off_t>(text.size())) != 0)
        throw_io_error("write", path, errno);
}

}  // namespace

void throw_run_busy(const fs::path& run, const std::optional<Json>& owner) {
    throw RunBusy(
        fmt::format("{} is being written by {}; wait, or choose another --out. Nothing was written",
                    run.string(), holder_text(owner)),
        holder_of(owner));
}

LockKind parse_lock_kind(const std::string& text) {
    if (text == "flock") return LockKind::flock;
    if (text == "lease") return LockKind::lease;
    throw UsageError(fmt::format("--lock {}: use flock, or lease where there are no locks", text));
}

RunLock::RunLock(const fs::path& run, LockKind kind) : run_(run) {
    make_folder(run);
    if (kind == LockKind::lease) {
        refuse_if_busy(run);
        lease_.emplace(run, owner_of(this_process()), RunLease::Times{});
        previous_ = last_attempt(lease_->previous());
        if (previous_ && previous_->contains("attempt")) lease_->describe({{kBefore, *previous_}});
    } else {
        RunLease::refuse_if_busy(run, {});
        take_file();
    }
}

void RunLock::take_file() {
    const fs::path path = run_ / kName;
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0) throw_io_error("write", path, errno);
    try {
        if (!take(fd_, path)) throw_run_busy(run_, read_owner(fd_));
        previous_ = last_attempt(read_owner(fd_));
        Json owner = owner_of(this_process());
        if (previous_ && previous_->contains("attempt")) owner[kBefore] = *previous_;
        describe(owner);
    } catch (...) {
        ::close(fd_);
        throw;
    }
}

RunLock::~RunLock() {
    if (lease_) return;
    try {
        const auto before = owner_.find(kBefore);
        const bool left = before != owner_.end() && before->is_object();
        write_owner(fd_, run_ / kName, left ? before->dump() + "\n" : "");
    } catch (const std::exception&) {  // then the next one finds us as if we had been killed
    }
    ::close(fd_);
}

void RunLock::refuse_if_busy(const fs::path& run) {
    RunLease::refuse_if_busy(run, {});
    const fs::path path = run / kName;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;  // nobody has ever held it
    struct Close {
        int fd;
        ~Close() { ::close(fd); }
    } const close{fd};
    // Shared: two that only ask do not see each other.
    if (::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        throw_run_busy(run, read_owner(fd));
}

void RunLock::describe(const Json& said) {
    Json more = said;
    if (more.contains("attempt")) more[kBefore] = nullptr;
    if (lease_) return lease_->describe(more);
    owner_.update(more);
    write_owner(fd_, run_ / kName, owner_.dump() + "\n");
}

void RunLock::check() const {
    if (lease_) return lease_->check();
    struct stat held {
    }, there{};
    const fs::path path = run_ / kName;
    if (::fstat(fd_, &held) == 0 && ::stat(path.c_str(), &there) == 0 &&
        held.st_dev == there.st_dev && held.st_ino == there.st_ino)
        return;
    throw IoError(
        fmt::format("{} was removed or replaced while this run was writing to {}; "
                    "nothing more is written there",
                    path.string(), run_.string()));
}

}  // namespace plumb
