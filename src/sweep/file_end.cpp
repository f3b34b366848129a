#include "sweep/file_end.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace plumb {

std::string file_end(const std::filesystem::path& path, std::size_t most) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return "";
    struct stat info {};
    std::string text;
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        const off_t from = std::max<off_t>(0, info.st_size - static_cast<off_t>(most));
        text.resize(static_cast<std::size_t>(info.st_size - from));
        const ssize_t n = ::pread(fd, text.data(), text.size(), from);
        text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    ::close(fd);
    return text;
}

std::string last_line(const std::filesystem::path& path, std::size_t most) {
    std::string text = file_end(path, most);
    const std::size_t end = text.rfind('\n');
    if (end == std::string::npos) return "";
    text.resize(end);
    const std::size_t before = text.rfind('\n');
    return before == std::string::npos ? text : text.substr(before + 1);
}

}  // namespace plumb
