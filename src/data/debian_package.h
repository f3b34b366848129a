// Files of Debian packages without installing them. Nothing of a package is ever run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

// A folder under the system's temporary folder, removed with its contents at the end of the scope.
class ScratchFolder {
public:
    ScratchFolder();  // throws IoError
    ~ScratchFolder();
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

struct DebianPackage {
    std::string name;
    std::vector<std::string> sha256;  // of the .deb files that are known
};

// The bytes of `file` (relative, "usr/lib/...") of a package: installed, or from NAME_*.deb in
// ./.cache, or from what `apt-get download` fetches. A .deb of ./.cache, which anybody may have put
// there, is unpacked only if its SHA-256 is in the package's list or in apt's signed index; a
// download is checked by apt itself. Throws IoError that says why each way failed and what to type.
std::string read_package_file(const DebianPackage& package, const std::string& file);

}  // namespace plumb
