#include "core/files.h"

#include "core/check.h"
#include "core/process.h"
#include "core/sha256.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace plumb {
namespace fs = std::filesystem;

void throw_io_error(std::string_view action, const fs::path& path, int error) {
    throw IoError(fmt::format("cannot {} {}: {}", action, path.string(), std::strerror(error)));
}

namespace {

int open_or_throw(const char* action, const fs::path& path, int flags) {
    int fd = -1;
    do fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) throw_io_error(action, path, errno);
    return fd;
}

// Closes a descriptor that was only read or synced.
struct Descriptor {
    int fd;
    ~Descriptor() { ::close(fd); }
};

constexpr std::string_view kTemporary = ".tmp.";

// ".NAME.tmp.HOST.PID": two machines may write to one folder.
fs::path temporary_name(const fs::path& path) {
    return path.parent_path() /
           fmt::format(".{}{}{}", path.filename().string(), kTemporary, process_tag());
}

}  // namespace

std::string read_file(const fs::path& path) {
    // Without O_NONBLOCK a pipe that nobody writes to would be waited for here.
    const Descriptor file{open_or_throw("read", path, O_RDONLY | O_NONBLOCK)};
    struct stat status {};
    if (::fstat(file.fd, &status) != 0) throw_io_error("read", path, errno);
    if (S_ISDIR(status.st_mode)) throw_io_error("read", path, EISDIR);
    if (!S_ISREG(status.st_mode))
        throw IoError(fmt::format("cannot read {}: it is a pipe or a device, not a plain file",
                                  path.string()));
    // One byte more than the file has, so that its end is seen without growing. (/proc says 0.)
    std::string text(std::max<std::size_t>(static_cast<std::size_t>(status.st_size) + 1, 4096),
                     '\0');
    std::size_t size = 0;
    for (;;) {
        if (size == text.size()) text.resize(2 * size);
        const ssize_t n = ::read(file.fd, text.data() + size, text.size() - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_io_error("read", path, errno);
        if (n == 0) break;
        size += static_cast<std::size_t>(n);
    }
    text.resize(size);
    return text;
}

OutputFile::OutputFile(fs::path path, Mode mode)
    : path_(std::move(path)),
      fd_(open_or_throw(
          "write", path_,
          // A new file is never written through a link that somebody put there.
          O_WRONLY | O_CREAT | (mode == Mode::append ? O_APPEND : O_TRUNC | O_NOFOLLOW))) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

OutputFile::~OutputFile() {
    if (fd_ >= 0) ::close(fd_);
}

void OutputFile::write(const void* data, std::size_t n_bytes) {
    require(fd_ >= 0, "write after close: " + path_.string());
    const char* p = static_cast<const char*>(data);
    while (n_bytes > 0) {
        const ssize_t n = ::write(fd_, p, n_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_io_error("write", path_, errno);
        p += n;
        n_bytes -= static_cast<std::size_t>(n);
    }
}

void OutputFile::sync() {
    require(fd_ >= 0, "sync after close: " + path_.string());
    // Pipes and devices cannot be synced; that is no loss of data.
    if (::fsync(fd_) != 0 && errno != EINVAL && errno != EROFS)
        throw_io_error("write", path_, errno);
}

void OutputFile::close() {
    const int fd = std::exchange(fd_, -1);
    // After EINTR Linux has closed the descriptor.
    if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) throw_io_error("write", path_, errno);
}

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), file_(temporary_name(path_), OutputFile::Mode::create) {}

AtomicFile::~AtomicFile() {
    if (!committed_) ::unlink(file_.path().c_str());
}

void AtomicFile::commit() {
    file_.sync();
    file_.close();
    rename_path(file_.path(), path_);
    committed_ = true;
    sync_folder(path_.parent_path());
}

void write_file(const fs::path& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

std::string temporary_of(const fs::path& path) {
    const std::string name = path.filename().string();
    const std::size_t at = name.rfind(kTemporary);
    if (!name.starts_with('.') || at == std::string::npos || at < 2) return "";
    const bool ours = is_process_tag(name.substr(at + kTemporary.size()));
    return ours ? name.substr(1, at - 1) : "";
}

std::string file_sha256(const fs::path& path) {
    const Descriptor file{open_or_throw("read", path, O_RDONLY)};
    Sha256 hash;
    std::string piece(1 << 18, '\0');
    for (;;) {
        const ssize_t n = ::read(file.fd, piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_io_error("read", path, errno);
        if (n == 0) return hash.hex();
        hash.update(piece.data(), static_cast<std::size_t>(n));
    }
}

void sync_folder(const fs::path& folder) {
    const fs::path path = folder.empty() ? fs::path(".") : folder;
    const Descriptor dir{open_or_throw("sync", path, O_RDONLY | O_DIRECTORY)};
    // Some file systems cannot sync a folder; they answer EINVAL.
    if (::fsync(dir.fd) != 0 && errno != EINVAL) throw_io_error("sync", path, errno);
}

void make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw_io_error("create", folder, error.value());
}

void rename_path(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0)
        throw_io_error("rename " + from.string() + " to", to, errno);
}

void remove_path(const fs::path& path) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) throw_io_error("remove", path, error.value());
}

}  // namespace plumb
