#include "data/debian_package.h"

#include "core/check.h"
#include "core/files.h"
#include "core/sha256.h"
#include "core/text.h"

#include <stdlib.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace plumb {

namespace fs = std::filesystem;

ScratchFolder::ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "plumb-XXXXXX").string();
    if (!::mkdtemp(name.data()))
        throw IoError(
            fmt::format("cannot make a folder {}; set TMPDIR to a folder you can write", name));
    path_ = name;
}

ScratchFolder::~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

namespace {

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

// The last NAME_*.deb in `folder` by name, hence the newest version of one series.
std::optional<fs::path> find_deb(const fs::path& folder, const std::string& package) {
    std::optional<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        const bool fits = name.starts_with(package + "_") && name.ends_with(".deb");
        if (fits && (!found || *found < it->path())) found = it->path();
    }
    return found;
}

// Is this the hash of a version of the package that apt's index lists?
bool apt_lists(const std::string& package, const std::string& sha256, const fs::path& scratch) {
    const fs::path listing = scratch / "apt.show";
    if (!shell(fmt::format("apt-cache show {} >{} 2>/dev/null", shell_quoted(package),
                           shell_quoted(listing.string()))))
        return false;
    return read_file(listing).find("\nSHA256: " + sha256 + "\n") != std::string::npos;
}

// The file out of a .deb that is trusted; nullopt if it is not in it.
std::optional<std::string> unpack(const fs::path& deb, const std::string& file,
                                  const fs::path& scratch) {
    const fs::path root = scratch / "root";
    if (!shell(fmt::format("dpkg -x {} {} >/dev/null 2>&1", shell_quoted(deb.string()),
                           shell_quoted(root.string()))))
        return std::nullopt;
    return fs::is_regular_file(root / file) ? std::optional(read_file(root / file)) : std::nullopt;
}

// The last complaint of apt, or what it said last.
std::string last_line(const std::string& log) {
    std::istringstream lines(log);
    std::string line, last;
    while (std::getline(lines, line))
        if (line.starts_with("E:") || last.empty()) last = line;
    return last;
}

// One way to the file: its bytes, or in `reason` why not.
std::optional<std::string> from_cache(const DebianPackage& package, const std::string& file,
                                      const fs::path& scratch, std::string& reason) {
    const auto deb = find_deb(".cache", package.name);
    if (!deb) {
        reason = "not in ./.cache";
        return std::nullopt;
    }
    // The bytes that are unpacked are those that were looked at.
    const std::string bytes = read_file(*deb), hash = sha256_hex(bytes);
    const bool known = std::count(package.sha256.begin(), package.sha256.end(), hash) > 0;
    if (!known && !apt_lists(package.name, hash, scratch)) {
        reason = fmt::format(
            "{} was left alone, because it is not the package that Plumb or apt "
            "knows (SHA-256 {})",
            deb->string(), hash);
        return std::nullopt;
    }
    write_file(scratch / "cached.deb", bytes);
    auto found = unpack(scratch / "cached.deb", file, scratch);
    if (!found) reason = fmt::format("{} has no {} (is dpkg here?)", deb->string(), file);
    return found;
}

std::optional<std::string> from_apt(const DebianPackage& package, const std::string& file,
                                    const fs::path& scratch, std::string& reason) {
    reason = "there is no apt-get here";
    if (!shell("command -v apt-get >/dev/null && command -v dpkg >/dev/null")) return std::nullopt;
    const bool fetched = shell(fmt::format(
        "cd {} && apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=20 download {} "
        ">apt.log 2>&1",
        shell_quoted(scratch.string()), shell_quoted(package.name)));
    const auto deb = find_deb(scratch, package.name);
    auto found = fetched && deb ? unpack(*deb, file, scratch) : std::nullopt;
    std::error_code ignored;
    const fs::path log = scratch / "apt.log";
    reason = fmt::format("`apt-get download {}` failed: {}", package.name,
                         fs::exists(log, ignored) ? last_line(read_file(log)) : "no log");
    return found;
}

}  // namespace

std::string read_package_file(const DebianPackage& package, const std::string& file) {
    const fs::path installed = fs::path("/") / file;
    std::error_code ignored;
    if (fs::is_regular_file(installed, ignored)) return read_file(installed);
    const ScratchFolder scratch;
    std::string cache, apt;
    if (auto found = from_cache(package, file, scratch.path(), cache)) return std::move(*found);
    if (auto found = from_apt(package, file, scratch.path(), apt)) return std::move(*found);
    throw IoError(fmt::format(
        "the Debian package {0} is not installed, {1}, and {2}. Type: sudo apt-get update && sudo "
        "apt-get install {0}; or put its .deb file into ./.cache; or prepare your own text: plumb "
        "data prepare FILE.txt --out DIR; or train without files: plumb train data.task=markov",
        package.name, cache, apt));
}

}  // namespace plumb
