// What `plumb sweep commands` prints is what other engines run: typed into a shell, it works.
#include "catch.h"
#include "support/run_program.h"
#include "sweep/made_sweep.h"

#include <cstdlib>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

std::vector<std::string> lines_of_text(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

}  // namespace

TEST_CASE("a printed command makes the run that it names, with all that was typed", "[run]") {
    const MadeSweep sweep(std::string("seeds = [7]\n") + kTwoVariants +
                          "[scale.quick]\ntrain.steps = 4\n");
    const fs::path out = sweep.temp / "it's here";
    const std::vector<std::string> typed{"--scale", "quick", "--set", "train.lr=0.002",
                                         "--out",   out,     "--todo"};
    const auto commands = [&](const std::vector<std::string>& more) {
        std::vector<std::string> args{"sweep", "commands", sweep.path};
        args.insert(args.end(), typed.begin(), typed.end());
        args.insert(args.end(), more.begin(), more.end());
        const Outcome o = run_plumb(args);
        INFO(o.out);
        REQUIRE(o.code == 0);
        return lines_of_text(o.out);
    };
    const auto both = commands({});
    REQUIRE(both.size() == 2);
    CHECK(commands({"--indices"}) == std::vector<std::string>{"0", "1"});

    REQUIRE(std::system(("{ " + both[1] + "\n} >/dev/null").c_str()) == 0);
    const auto left = commands({});
    REQUIRE(left.size() == 1);
    CHECK(left[0] == both[0]);
    CHECK(commands({"--indices"}) == std::vector<std::string>{"0"});
    const fs::path run = out / both[1].substr(both[1].find(" # ") + 3);
    CHECK(slurp(run / "STATUS") == "done\n");
    const std::string config = slurp(run / "config.toml");
    for (const char* line : {"steps = 4\n", "lr = 0.002", "seed = 7\n", "attnres_block"})
        CHECK_THAT(config, contains_text(line));
}
