#include "emulated/planted.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace plumb::test {

std::string line_with(const std::string& kernel, const std::string& part, int nth) {
    std::ifstream file("tests/emulated/planted.h");
    bool begun = false;
    int number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        begun |= line.find(" " + kernel + "(") != std::string::npos;
        if (begun && line.find(part) != std::string::npos && --nth == 0)
            return "planted.h:" + std::to_string(number);
    }
    throw std::runtime_error("no such line in " + kernel + "; tests run in the project's folder");
}

Ended run_alone(const std::string& test, const std::string& order) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("pipe");
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1), dup2(ends[1], 2);
        close(ends[0]), close(ends[1]);
        setenv("PLUMB_ORDER", order.c_str(), 1);
        alarm(60);  // kept by what follows
        // A filter that finds no test is an error.
        execl("/proc/self/exe", "plumb_emulated_tests", test.c_str(), "--warn", "NoTests", nullptr);
        _exit(127);
    }
    close(ends[1]);
    Ended end{0, {}};
    char part[4096];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;)
        end.text.append(part, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    end.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return end;
}

}  // namespace plumb::test
