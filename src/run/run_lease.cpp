#include "run/run_lease.h"

#include "core/files.h"
#include "core/json.h"
#include "run/run_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>

namespace plumb {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
namespace {

std::string new_token() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
}

std::optional<Json> read_owner(const fs::path& file) {
    try {
        return read_json_object(file);
    } catch (const IoError&) {
        return std::nullopt;  // none, it went just now, or it is being written
    }
}

std::string token_of(const std::optional<Json>& owner) {
    return owner && owner->contains("token") && owner->at("token").is_string()
               ? owner->at("token").get<std::string>()
               : "";
}

std::optional<milliseconds> modified(const fs::path& file) {
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) return std::nullopt;
    return milliseconds(info.st_mtim.tv_sec * 1000LL + info.st_mtim.tv_nsec / 1'000'000);
}

// By the clock of the file server: that of a file written there now.
milliseconds server_time(const fs::path& run) {
    const fs::path file = run / fmt::format(".clock.{}", new_token());
    OutputFile clock(file, OutputFile::Mode::create);
    clock.write("?");
    clock.close();
    const auto time = modified(file);
    ::unlink(file.c_str());
    if (!time) throw_io_error("read", file, errno);
    return *time;
}

// True if this call made the file.
bool make_exclusively(const fs::path& file, const std::string& text) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) return false;
    if (fd < 0) throw_io_error("write", file, errno);
    const ssize_t n = ::write(fd, text.data(), text.size());
    ::fsync(fd);
    ::close(fd);
    if (n != static_cast<ssize_t>(text.size())) throw_io_error("write", file, errno);
    return true;
}

fs::path mark_of(const fs::path& run, const std::string& token) {
    return run / fmt::format(".owner.dead.{}", token);
}

// Removes the .owner of a dead holder, and nobody else's: of all who find it dead one makes the
// file that is named after its token.
void retire(const fs::path& run, const std::string& token, milliseconds dead) {
    const fs::path owner = run / RunLease::kName, mark = mark_of(run, token);
    if (make_exclusively(mark, "?")) {
        // Its age once more: an owner that is being written has no token yet either.
        const auto touched = modified(owner);
        if (touched && server_time(run) - *touched >= dead && token_of(read_owner(owner)) == token)
            ::unlink(owner.c_str());
        else
            ::unlink(mark.c_str());
    } else if (const auto made = modified(mark); made && server_time(run) - *made >= dead) {
        ::unlink(mark.c_str());  // its maker died here; the next one who tries comes through
    }
}

}  // namespace

RunLease::RunLease(const fs::path& run, Json owner, Times times)
    : run_(run), owner_(std::move(owner)) {
    owner_["token"] = new_token();
    take(times);
    toucher_ = std::thread([this, times] { touch_until_stopped(times.touch); });
}

void RunLease::take(Times times) {
    const fs::path file = run_ / kName;
    const std::string text = owner_.dump() + "\n";
    if (make_exclusively(file, text)) return;
    previous_ = read_owner(file);  // first: the next owner must not pass for the dead one
    refuse_if_busy(run_, times);
    retire(run_, token_of(previous_), times.dead);
    if (!make_exclusively(file, text)) throw_run_busy(run_, read_owner(file));
    ::unlink(mark_of(run_, token_of(previous_)).c_str());
}

void RunLease::refuse_if_busy(const fs::path& run, Times times) {
    const fs::path file = run / kName;
    const auto touched = modified(file);
    if (!touched) return;
    if (server_time(run) - *touched < times.dead) throw_run_busy(run, read_owner(file));
}

void RunLease::describe(const Json& more) {
    check();
    owner_.update(more);
    write_file(run_ / kName, owner_.dump() + "\n");
}

void RunLease::check() const {
    const auto owner = read_owner(run_ / kName);
    if (token_of(owner) != owner_.at("token").get<std::string>()) throw_run_busy(run_, owner);
}

void RunLease::touch_until_stopped(milliseconds every) {
    std::unique_lock lock(mutex_);
    while (!stop_signal_.wait_for(lock, every, [this] { return stop_; }))
        if (token_of(read_owner(run_ / kName)) == owner_.at("token").get<std::string>())
            ::utimensat(AT_FDCWD, (run_ / kName).c_str(), nullptr, 0);
}

RunLease::~RunLease() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stop_signal_.notify_one();
    toucher_.join();
    try {
        check();
        ::unlink((run_ / kName).c_str());
    } catch (const std::exception&) {  // another's by now
    }
}

}  // namespace plumb
