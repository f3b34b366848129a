#include "sweep/plan_file.h"

#include "core/clock.h"
#include "core/files.h"
#include "core/json.h"
#include "sweep/expand.h"
#include "sweep/identity.h"
#include "sweep/sweep_json.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <set>

namespace plumb {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kName = "plan.jsonl";

// plan.jsonl, open and locked against other planners. Where the file system has no locks planners
// must not meet: there a sweep is planned before its workers are started.
class LockedFile {
public:
    explicit LockedFile(fs::path path) : path_(std::move(path)) {
        fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd_ < 0) throw_io_error("write", path_, errno);
        int error = 0;
        do error = ::flock(fd_, LOCK_EX) == 0 ? 0 : errno;
        while (error == EINTR);
        if (error != 0 && error != ENOLCK && error != EOPNOTSUPP && error != ENOSYS) {
            ::close(fd_);
            throw_io_error("lock", path_, error);
        }
    }
    LockedFile(const LockedFile&) = delete;
    LockedFile& operator=(const LockedFile&) = delete;
    ~LockedFile() { ::close(fd_); }

    void cut_to(std::size_t size) {
        if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) throw_io_error("cut", path_, errno);
    }
    // At the end, and on the disk.
    void append(std::string_view text) {
        if (::lseek(fd_, 0, SEEK_END) < 0) throw_io_error("write", path_, errno);
        while (!text.empty()) {
            const ssize_t n = ::write(fd_, text.data(), text.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw_io_error("write", path_, errno);
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        if (::fsync(fd_) != 0) throw_io_error("write", path_, errno);
    }

private:
    fs::path path_;
    int fd_ = -1;
};

Json line_of(const PlannedRun& run, const std::string& now) {
    Json line = run_json(run);
    line["settings"] = Json::object();
    for (const auto& [key, text] : chosen_values(run.config))
        line["settings"][key] = json_value(text);
    line["dir"] = run.dir.filename().string();
    line["planned"] = now;
    return line;
}

// `whole`: bytes of the lines that end in a line feed.
std::vector<PlanLine> parse_lines(const std::string& text, const fs::path& path,
                                  std::size_t& whole) {
    std::vector<PlanLine> lines;
    whole = 0;
    for (std::size_t end; (end = text.find('\n', whole)) != std::string::npos; whole = end + 1) {
        const std::string name = fmt::format("{}:{}", path.string(), lines.size() + 1);
        const auto json = parse_json(std::string_view(text).substr(whole, end - whole), name);
        PlanLine line{json_at<std::int64_t>(json, "index", name),
                      json_at<std::string>(json, "id", name),
                      json_at<std::string>(json, "dir", name),
                      json_at<std::string>(json, "variant", name),
                      json_at<std::string>(json, "stage", name),
                      json_at<std::int64_t>(json, "seed", name),
                      json};
        if (line.index != static_cast<long>(lines.size()))
            throw IoError(
                fmt::format("{}: its index is {}, not {}; lines were taken out or moved. "
                            "Put the file back as it was",
                            name, line.index, lines.size()));
        if (line.dir.empty() || line.dir.front() == '.' || line.dir.find('/') != line.dir.npos)
            throw IoError(fmt::format("{}: \"dir\" is no name of a folder", name));
        lines.push_back(std::move(line));
    }
    return lines;
}

}  // namespace

std::vector<PlanLine> read_plan_file(const fs::path& sweep) {
    const fs::path path = sweep / kName;
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return {};
    std::size_t whole = 0;
    return parse_lines(read_file(path), path, whole);
}

void number_runs(std::vector<PlannedRun>& runs, const std::vector<PlanLine>& lines,
                 const fs::path& sweep) {
    std::map<std::string, const PlanLine*> known;
    for (const PlanLine& line : lines) known[line.id] = &line;
    for (PlannedRun& run : runs) {
        const auto at = known.find(run.id);
        run.index = at == known.end() ? -1 : at->second->index;
        run.dir = sweep / (at == known.end() ? folder_name(run) : at->second->dir);
    }
}

namespace {

// Under the lock: hands over the lines there are, appends what it gets.
template <class Make>
void append_lines(const fs::path& sweep, Make&& make) {
    make_folder(sweep);
    const fs::path path = sweep / kName;
    LockedFile file(path);
    const std::string text = read_file(path);
    std::size_t whole = 0;
    const std::vector<PlanLine> lines = parse_lines(text, path, whole);
    if (whole < text.size()) file.cut_to(whole);  // a planner was killed amid a line
    if (const std::string added = make(lines); !added.empty()) file.append(added);
}

}  // namespace

void append_to_plan_file(std::vector<PlannedRun>& runs, const fs::path& sweep) {
    append_lines(sweep, [&](const std::vector<PlanLine>& lines) {
        number_runs(runs, lines, sweep);
        const std::string now = utc_now();
        std::string added;
        long next = static_cast<long>(lines.size());
        for (PlannedRun& run : runs) {
            if (run.index >= 0) continue;
            run.index = next++;
            added += line_of(run, now).dump() + "\n";
        }
        return added;
    });
}

void append_to_plan_file(const std::vector<PlanLine>& others, const fs::path& sweep) {
    append_lines(sweep, [&](const std::vector<PlanLine>& lines) {
        std::set<std::string> known;
        for (const PlanLine& line : lines) known.insert(line.id);
        std::string added;
        long next = static_cast<long>(lines.size());
        for (const PlanLine& line : others) {
            if (!known.insert(line.id).second) continue;
            Json json = line.json;
            json["index"] = next++;
            added += json.dump() + "\n";
        }
        return added;
    });
}

}  // namespace plumb
