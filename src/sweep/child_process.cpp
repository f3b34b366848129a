#include "sweep/child_process.h"

#include "core/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>

namespace plumb {
namespace {

// Everything that exec needs, made before the fork: after it only the system may be called.
struct Exec {
    std::string program;
    std::vector<std::string> words, variables;
    std::vector<char*> argv, envp;
    std::vector<unsigned char> cpus;  // a cpu_set_t of any length

    explicit Exec(const ChildOptions& o) : program(o.program), words(o.arguments) {
        words.insert(words.begin(), "plumb");
        for (char** v = environ; *v; ++v) {
            const std::string text = *v, name = text.substr(0, text.find('='));
            const bool replaced =
                std::any_of(o.environment.begin(), o.environment.end(),
                            [&](const auto& variable) { return variable.first == name; });
            if (!replaced) variables.push_back(text);
        }
        for (const auto& [name, value] : o.environment) variables.push_back(name + "=" + value);
        for (std::string& w : words) argv.push_back(w.data());
        for (std::string& v : variables) envp.push_back(v.data());
        argv.push_back(nullptr), envp.push_back(nullptr);
        if (o.cpus.empty()) return;
        const int most = *std::max_element(o.cpus.begin(), o.cpus.end()) + 1;
        cpus.resize(CPU_ALLOC_SIZE(static_cast<std::size_t>(most)));
        for (const int cpu : o.cpus)
            CPU_SET_S(static_cast<std::size_t>(cpu), cpus.size(),
                      reinterpret_cast<cpu_set_t*>(cpus.data()));
    }
};

[[noreturn]] void exec_child(const Exec& exec, int log) {
    ::setpgid(0, 0);
    if (!exec.cpus.empty())  // a core that was taken away meanwhile is no reason to fail
        ::sched_setaffinity(0, exec.cpus.size(),
                            reinterpret_cast<const cpu_set_t*>(exec.cpus.data()));
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0), ::dup2(log, 1), ::dup2(log, 2);
    if (null > 2) ::close(null);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(exec.program.c_str(), exec.argv.data(), exec.envp.data());
    constexpr char kText[] = "plumb: cannot start the program again\n";
    if (::write(2, kText, sizeof kText - 1) < 0) ::_exit(127);
    ::_exit(127);
}

// A value as it is typed on a command line: text without its quotes.
std::string typed(const std::string& toml) {
    return toml.starts_with('"') ? nlohmann::json::parse(toml).get<std::string>() : toml;
}

}  // namespace

std::vector<std::string> train_arguments(const PlannedRun& run, const std::string& lock,
                                         int threads) {
    static const std::map<std::string, std::string> defaults = [] {
        std::map<std::string, std::string> out;
        for (const FieldInfo& f : fields()) out[f.key] = f.default_value;
        return out;
    }();
    std::vector<std::string> words{"train", "--out",     run.dir.string(),       "--resume",
                                   "auto",  "--threads", std::to_string(threads)};
    if (lock != "flock") words.insert(words.end(), {"--lock", lock});
    for (const auto& [key, text] : values(run.config))
        if (text != defaults.at(key)) words.push_back(fmt::format("{}={}", key, typed(text)));
    return words;
}

ChildProcess::ChildProcess(const ChildOptions& o) {
    const Exec exec(o);
    const int log = ::open(o.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log < 0) throw_io_error("write", o.log, errno);
    int ends[2] = {-1, -1};
    const bool piped = ::pipe2(ends, O_CLOEXEC) == 0;
    pid_ = piped ? ::fork() : -1;
    if (pid_ == 0) {
        ::fcntl(ends[1], F_SETFD, 0);  // the one end that nobody but the child holds
        exec_child(exec, log);
    }
    const int error = errno;
    if (piped) ::close(ends[1]);
    ::close(log);
    life_line_ = ends[0];
    if (pid_ > 0) return;
    if (piped) ::close(ends[0]);
    throw_io_error("start a process for", o.log.parent_path(), error);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), life_line_(std::exchange(other.life_line_, -1)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(life_line_, other.life_line_);
    return *this;
}

ChildProcess::~ChildProcess() {
    if (life_line_ >= 0) ::close(life_line_);
}

std::optional<RunEnd> ChildProcess::ended() {
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
    pid_ = -1;
    if (got < 0) return RunEnd{.exit = 127};
    if (WIFSIGNALED(status)) return RunEnd{.signal = WTERMSIG(status)};
    return RunEnd{.exit = WEXITSTATUS(status)};
}

void ChildProcess::ask_to_stop() const {
    if (pid_ > 0) ::kill(pid_, SIGTERM);
}

void wait_for_end(const std::vector<int>& life_lines, std::chrono::milliseconds most) {
    std::vector<pollfd> lines;
    for (const int fd : life_lines) lines.push_back({fd, POLLIN, 0});
    if (::poll(lines.data(), lines.size(), static_cast<int>(most.count())) <= 0) return;
    // The line is cut a moment before the process can be waited for.
    for (const pollfd& line : lines)
        if (line.revents != 0) ::usleep(200);
}

}  // namespace plumb
