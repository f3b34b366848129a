#include "train/debian_package.h"

#include "core/check.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

namespace plumb {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
    std::string name = (fs::temp_directory_path() / "plumb-XXXXXX").string();
    if (!::mkdtemp(name.data()))
        throw IoError(
            fmt::format("cannot make a folder {}; set TMPDIR to a folder you can write", name));
    path_ = name;
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

std::string shell_quote(const std::string& text) {
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

namespace {

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

bool all_exist(const fs::path& root, const std::vector<std::string>& files) {
    return std::all_of(files.begin(), files.end(),
                       [&](const std::string& file) { return fs::exists(root / file); });
}

// The last NAME_*.deb in `folder` by name, hence the newest version of one series.
std::optional<fs::path> find_deb(const fs::path& folder, const std::string& package) {
    std::optional<fs::path> found;
    if (!fs::is_directory(folder)) return found;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        const bool fits = name.starts_with(package + "_") && name.ends_with(".deb");
        if (fits && (!found || *found < entry.path())) found = entry.path();
    }
    return found;
}

// Unpacks all packages from `folder` if each has a .deb there.
bool unpack_from(const fs::path& folder, const std::vector<std::string>& packages,
                 const fs::path& to) {
    for (const std::string& package : packages) {
        const auto deb = find_deb(folder, package);
        if (!deb || !shell(fmt::format("dpkg -x {} {} 2>/dev/null", shell_quote(deb->string()),
                                       shell_quote(to.string()))))
            return false;
    }
    return true;
}

std::string last_line(const fs::path& file) {
    std::ifstream in(file);
    std::string line, last;
    while (std::getline(in, line))
        if (line.starts_with("E:") || last.empty()) last = line;
    return last;
}

}  // namespace

fs::path debian_root(const std::vector<std::string>& packages,
                     const std::vector<std::string>& files, const fs::path& unpack_to) {
    if (all_exist("/", files)) return "/";
    if (unpack_from(".cache", packages, unpack_to) && all_exist(unpack_to, files)) return unpack_to;

    const std::string names = fmt::format("{}", fmt::join(packages, " "));
    std::string reason = "there is no apt-get here";
    if (shell("command -v apt-get >/dev/null && command -v dpkg >/dev/null")) {
        const fs::path log = unpack_to / "apt.log";
        const bool fetched = shell(fmt::format(
            "cd {} && apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=20 download {} "
            ">apt.log 2>&1",
            shell_quote(unpack_to.string()), names));
        if (fetched && unpack_from(unpack_to, packages, unpack_to) && all_exist(unpack_to, files))
            return unpack_to;
        reason = fmt::format("`apt-get download {}` failed: {}", names, last_line(log));
    }
    throw IoError(fmt::format(
        "the Debian packages {} are not installed, not in ./.cache, and {}. Type: sudo apt-get "
        "update && sudo apt-get install {}; or put their .deb files into ./.cache; or prepare "
        "your own text: plumb data prepare FILE.txt --out DIR; or train without files: "
        "plumb train data.task=markov",
        names, reason, names));
}

}  // namespace plumb
