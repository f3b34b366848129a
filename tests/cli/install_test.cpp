// `cmake --install` puts everything where it belongs, and it runs from there.
#include "catch.h"
#include "support/run_program.h"

#include <cstdlib>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("an installed plumb runs, with man page, completion and figures", "[cli][install]") {
    const TempFolder temp;
    const fs::path build = fs::path(program_path()).parent_path(), prefix = temp / "prefix";
    REQUIRE(std::system(fmt::format("cmake --install '{}' --prefix '{}' > '{}'", build.string(),
                                    prefix.string(), (temp / "log").string())
                            .c_str()) == 0);
    const auto runs = [&](const std::string& command) {
        return std::system(fmt::format("'{}'/bin/{} > '{}' 2>&1", prefix.string(), command,
                                       (temp / "out").string())
                               .c_str()) == 0;
    };
    CHECK(runs("plumb --version"));
    CHECK(slurp(temp / "out") == run_plumb({"--version"}).out);
    CHECK(runs("plumb list mixers"));
    CHECK(runs("plumb-figures --help"));
    CHECK_THAT(slurp(temp / "out"), contains_text("usage: figures.py"));
    CHECK(slurp(prefix / "share/man/man1/plumb.1") == run_plumb({"help", "--man"}).out);
    CHECK(slurp(prefix / "share/bash-completion/completions/plumb") ==
          run_plumb({"completion", "bash"}).out);
    CHECK(slurp(prefix / "share/zsh/site-functions/_plumb") ==
          run_plumb({"completion", "zsh"}).out);
    CHECK(slurp(prefix / "share/fish/vendor_completions.d/plumb.fish") ==
          run_plumb({"completion", "fish"}).out);
    CHECK_FALSE(runs("plumb compare /nowhere"));
    CHECK_THAT(slurp(temp / "out"), contains_text("no run folder /nowhere"));
}
