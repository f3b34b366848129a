// plumb compare, report and figures: the door to the Python part.
#include "catch.h"
#include "cli/python_package.h"
#include "support/environment.h"
#include "support/run_program.h"

#include <regex>
#include <set>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

std::set<std::string> long_options(const std::string& help) {
    static const std::regex name(R"((^|[\s,\[])(--[a-z][a-z-]*))");
    std::set<std::string> found;
    for (std::sregex_iterator i(help.begin(), help.end(), name), end; i != end; ++i)
        found.insert((*i)[2]);
    return found;
}

fs::path package() { return python_package(program_path()); }

std::string python() { return find_python(package(), {"numpy", "scipy", "matplotlib"}); }

bool no_python() {
    if (!python().empty()) return false;
    WARN("not run: no Python with numpy, scipy and matplotlib");
    return true;
}

// What a shell command prints.
std::string printed(const std::string& command) {
    const TempFolder temp;
    REQUIRE(std::system(fmt::format("{} > '{}' 2>&1", command, (temp / "out").string()).c_str()) ==
            0);
    return slurp(temp / "out");
}

std::vector<std::string> three_seeds(const fs::path& runs) {
    std::vector<std::string> folders;
    for (const char* mixer : {"standard", "attnres"})
        for (const char* seed : {"1", "2", "3"}) {
            folders.push_back((runs / (std::string(mixer) + "-s" + seed)).string());
            const std::string set = std::string("mixer=") + mixer;
            const Outcome o = run_plumb(tiny_run(folders.back(), {set, "--seed", seed}));
            INFO(o.out);
            REQUIRE(o.code == 0);
        }
    return folders;
}

}  // namespace

TEST_CASE("compare reads what train wrote", "[cli][compare][run]") {
    if (no_python()) return;
    const TempFolder temp;
    std::vector<std::string> args = three_seeds(temp / "runs");
    args.insert(args.begin(), {"compare", "--margin", "10"});
    const Outcome table = run_plumb(args);
    INFO(table.out);
    CHECK(table.code == 0);
    CHECK_THAT(table.out, contains_text("than 10"));  // better, by less than the margin
    args.emplace_back("--json");
    const nlohmann::json found = json_of(args);
    REQUIRE(found["rows"].size() == 2);
    double difference = 0;
    for (int seed = 1; seed <= 3; ++seed) {
        const auto loss = [&](const std::string& mixer) {
            const fs::path run = temp / "runs" / fmt::format("{}-s{}", mixer, seed);
            return double(nlohmann::json::parse(slurp(run / "summary.json"))["final_val_loss"]);
        };
        difference += (loss("attnres") - loss("standard")) / 3;
    }
    CHECK(double(found["rows"][1]["difference"]) == Approx(difference).epsilon(1e-12));
}

TEST_CASE("the Python part knows the options that its help shows", "[cli][compare]") {
    if (no_python()) return;
    const Environment path("PYTHONPATH", package().c_str());
    for (const std::string command : {"compare", "report", "figures"}) {
        if (command == "report" && !fs::exists(package() / "plumb/report/cli.py")) continue;
        INFO(command);
        const std::string theirs =
            printed(fmt::format("'{}' -P -m plumb {} --help", python(), command));
        CHECK(long_options(run_plumb({command, "--help"}).out) == long_options(theirs));
    }
}

TEST_CASE("exit codes of the Python part are plumb's", "[cli][compare]") {
    if (no_python()) return;
    const TempFolder temp;
    const Outcome absent = run_plumb({"compare", (temp / "none").string()});
    CHECK(absent.code == 4);
    CHECK_THAT(absent.out, contains_text("plumb train --out"));
    CHECK(run_plumb({"compare", temp.path().string(), "--margin=-1"}).code == 2);
    CHECK(run_plumb({"compare"}).code == 2);
    CHECK(run_plumb({"compare", "a", "--json", "--csv"}).code == 2);
    CHECK(run_plumb({"figures", "--", "--out"}).code == 2);
}

TEST_CASE("without a Python that serves, it says what to install", "[cli][compare]") {
    const Environment none("PLUMB_PYTHON", "/bin/false");
    const Outcome compare = run_plumb({"compare", "runs"});
    CHECK(compare.code == 4);
    CHECK_THAT(compare.out, contains_text("sudo apt-get install python3-numpy python3-scipy,"));
    CHECK_THAT(compare.out, contains_text("PLUMB_PYTHON=/bin/false is none"));
    const Outcome figures = run_plumb({"figures", "runs", "--out=x"});
    CHECK(figures.code == 4);
    CHECK_THAT(figures.out, contains_text("python3-scipy python3-matplotlib,"));
}

TEST_CASE("the package is found beside an installed plumb, and in a checkout", "[cli][compare]") {
    const TempFolder temp;
    CHECK(python_package(temp / "bin/plumb").empty());
    fs::create_directories(temp / "share/plumb/python/plumb");
    spill(temp / "share/plumb/python/plumb/__main__.py", "");
    CHECK(python_package(temp / "bin/plumb") == temp / "share/plumb/python");
    CHECK(fs::exists(package() / "plumb/comparison/cli.py"));
}

TEST_CASE("a plumb.py where one stands is not run", "[cli][compare]") {
    if (no_python()) return;
    const TempFolder temp;
    spill(temp / "plumb.py", "raise SystemExit(99)\n");
    const std::string command =
        fmt::format("cd '{}' && '{}' compare x", temp.path().string(), program_path());
    const int status = std::system((command + " 2>/dev/null").c_str());
    CHECK(WEXITSTATUS(status) == 4);
}
