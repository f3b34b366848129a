// Files of Debian packages without installing them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

// A folder under the system's temporary folder, removed with its contents at the end of the scope.
class TempFolder {
public:
    TempFolder();  // throws IoError
    ~TempFolder();
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

// 'text' as one word for the shell.
std::string shell_quote(const std::string& text);

// The folder under which `files` (relative, "usr/lib/...") of `packages` lie: "/" if they are
// installed; else `unpack_to`, after unpacking there NAME_*.deb from ./.cache, or what `apt-get
// download` fetches. Throws IoError that says what to install if none of these works (offline, not
// a Debian).
std::filesystem::path debian_root(const std::vector<std::string>& packages,
                                  const std::vector<std::string>& files,
                                  const std::filesystem::path& unpack_to);

}  // namespace plumb
