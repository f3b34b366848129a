#include "cli/python_package.h"

#include "core/check.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fs = std::filesystem;

namespace plumb {
namespace {

std::vector<char*> argv_of(std::vector<std::string>& words) {
    std::vector<char*> argv;
    for (std::string& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    return argv;
}

// Whether a program ends with exit code 0; what it prints is dropped.
bool succeeds(std::vector<std::string> words) {
    const std::vector<char*> argv = argv_of(words);
    const pid_t child = ::fork();
    if (child == 0) {
        const int null = ::open("/dev/null", O_RDWR);
        for (const int fd : {0, 1, 2}) ::dup2(null, fd);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    int status = 0;
    while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// tomllib came with Python 3.11. The modules are looked for, not loaded: that takes a second.
std::string probe(const std::vector<std::string>& modules) {
    return fmt::format(
        "import sys, importlib.util as u; "
        "sys.exit(sys.version_info < (3, 11) or not all(map(u.find_spec, '{}'.split())))",
        fmt::join(modules, " "));
}

void prepend_path(const char* variable, const std::string& folder) {
    const char* old = std::getenv(variable);
    ::setenv(variable, (old && *old ? folder + ":" + old : folder).c_str(), 1);
}

std::string packages(const std::vector<std::string>& modules) {
    std::string names;
    for (const std::string& m : modules) names += " python3-" + m;
    return names;
}

}  // namespace

fs::path python_package(const fs::path& program) {
    const fs::path bin = program.parent_path();
    std::vector<fs::path> places{bin.parent_path() / "share/plumb/python"};
    fs::path above = bin;  // CHECKOUT/build/release
    for (int i = 0; i < 3; ++i) {
        places.push_back(above / "scripts");
        above = above.parent_path();
    }
    for (const fs::path& p : places)
        if (fs::exists(p / "plumb/__main__.py")) return p;
    return {};
}

std::string find_python(const fs::path& package, const std::vector<std::string>& modules) {
    std::vector<std::string> candidates{(package.parent_path() / ".venv/bin/python").string(),
                                        ".venv/bin/python", "/usr/bin/python3", "python3"};
    const char* chosen = std::getenv("PLUMB_PYTHON");
    if (chosen && *chosen) candidates = {chosen};
    for (const std::string& python : candidates)
        if (succeeds({python, "-c", probe(modules)})) return python;
    return "";
}

void become_python(const std::vector<std::string>& words, const std::vector<std::string>& modules) {
    const fs::path program = fs::read_symlink("/proc/self/exe");
    const fs::path package = python_package(program);
    if (package.empty())
        throw IoError(
            fmt::format("the Python package of plumb is neither in {} nor in a checkout "
                        "around {}; install it with: cmake --install build/release",
                        (program.parent_path().parent_path() / "share/plumb/python").string(),
                        program.string()));
    const std::string python = find_python(package, modules);
    if (python.empty()) {
        const char* chosen = std::getenv("PLUMB_PYTHON");
        throw IoError(fmt::format(
            "plumb {} needs Python 3.11 or newer with {}{}; type: sudo apt-get install{}, or set "
            "PLUMB_PYTHON to a Python that has them",
            words.front(), fmt::join(modules, ", "),
            chosen && *chosen ? fmt::format(", and PLUMB_PYTHON={} is none", chosen) : "",
            packages(modules)));
    }
    prepend_path("PYTHONPATH", package.string());
    ::setenv("PLUMB", program.c_str(), 0);  // whose table of measures is read
    // -P: a plumb.py of the folder one stands in is not ours
    std::vector<std::string> all{python, "-P", "-m", "plumb"};
    all.insert(all.end(), words.begin(), words.end());
    std::fflush(nullptr);
    ::execvp(all[0].c_str(), argv_of(all).data());
    throw IoError(fmt::format("cannot start {}: {}", python, std::strerror(errno)));
}

}  // namespace plumb
