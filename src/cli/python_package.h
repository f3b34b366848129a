// The part of Plumb that is written in Python (scripts/plumb): where it is, which interpreter can
// run it, and becoming it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

// The folder that has the package `plumb`: of the installation or of the checkout that `program`
// stands in; empty if there is none.
std::filesystem::path python_package(const std::filesystem::path& program);

// The first Python that has `modules` and is new enough: $PLUMB_PYTHON alone if it is set, else
// that of a .venv beside the package's folder or here, Debian's, the one on the PATH. "" if there
// is none.
std::string find_python(const std::filesystem::path& package,
                        const std::vector<std::string>& modules);

// Replaces this process by `python -m plumb WORD...`. Throws IoError saying what to install.
[[noreturn]] void become_python(const std::vector<std::string>& words,
                                const std::vector<std::string>& modules);

}  // namespace plumb
