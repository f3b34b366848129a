// Completion: what the program offers, and what a shell makes of it.
#include "catch.h"
#include "support/run_program.h"

#include <cstdlib>
#include <set>
#include <sstream>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

// The words offered for the last of `typed`.
std::set<std::string> offered(std::vector<std::string> typed) {
    typed.insert(typed.begin(), {"complete", "--"});
    const Outcome o = run_plumb(typed);
    CHECK(o.code == 0);
    std::set<std::string> words;
    std::istringstream lines(o.out);
    for (std::string line; std::getline(lines, line);)
        words.insert(line.substr(0, line.find('\t')));
    return words;
}

// What bash would put on the line after `line`, run in `folder`.
std::set<std::string> in_bash(const std::string& line, const fs::path& folder) {
    const TempFolder temp;
    spill(temp / "script", run_plumb({"completion", "bash"}).out);
    spill(temp / "ask",
          fmt::format("plumb() {{ '{}' \"$@\"; }}\ncompopt() {{ :; }}\n. '{}'\ncd '{}'\n"
                      "COMP_LINE='{}' COMP_POINT={} COMP_WORDBREAKS=$' \\t\\n=:'\n"
                      "_plumb\nprintf '%s\\n' \"${{COMPREPLY[@]}}\" > '{}'\n",
                      program_path(), (temp / "script").string(), folder.string(), line,
                      line.size(), (temp / "out").string()));
    REQUIRE(std::system(fmt::format("bash '{}'", (temp / "ask").string()).c_str()) == 0);
    std::set<std::string> words;
    std::istringstream lines(slurp(temp / "out"));
    for (std::string word; std::getline(lines, word);)
        if (!word.empty()) words.insert(word);
    return words;
}

}  // namespace

TEST_CASE("completion offers commands, options, settings, values and topics", "[cli][completion]") {
    CHECK(offered({"tr"}) == std::set<std::string>{"train"});
    CHECK(offered({""}).contains("doctor"));
    CHECK_FALSE(offered({""}).contains("complete"));
    CHECK(offered({"data", ""}) == std::set<std::string>{"prepare"});
    CHECK(offered({"train", "--se"}) == std::set<std::string>{"--seed"});
    CHECK(offered({"train", "train.wa"}) == std::set<std::string>{"train.warmup="});
    CHECK(offered({"train", "mixer=at"}) ==
          std::set<std::string>{"mixer=attnres", "mixer=attnres_block"});
    CHECK(offered({"train", "model.mlp=g"}) == std::set<std::string>{"model.mlp=gelu"});
    CHECK(offered({"train", "model.qk_norm="}) ==
          std::set<std::string>{"model.qk_norm=true", "model.qk_norm=false"});
    CHECK(offered({"train", "mixer=mhc", "data.task=mar"}) ==
          std::set<std::string>{"data.task=markov"});
    CHECK(offered({"train", "data.path="}) == std::set<std::string>{":folders"});
    CHECK(offered({"train", "--resume", ""}) == std::set<std::string>{"auto", "never", "must"});
    CHECK(offered({"train", "-c", ""}) == std::set<std::string>{":files"});
    CHECK(offered({"list", "mix"}) == std::set<std::string>{"mixers"});
    CHECK(offered({"help", "attnres_"}) == std::set<std::string>{"attnres_block"});
    CHECK(offered({"check", "hyp"}) == std::set<std::string>{"hyper"});
    CHECK(offered({"inspect", ""}) == std::set<std::string>{":folders"});
    CHECK(offered({"inspect", "a", "--measure", "write_s"}) ==
          std::set<std::string>{"write_share"});
    CHECK(offered({"eval", "--split", ""}) == std::set<std::string>{"val", "test"});
    CHECK(offered({"train", "--init-from", ""}) == std::set<std::string>{":folders"});
    CHECK(offered({"data", "prepare", "au"}) == std::set<std::string>{"austen", ":files"});
    CHECK(offered({"train", "--label", ""}).empty());  // any text, and no name of a corpus
    CHECK(offered({"nonsense", "x"}).empty());
}

TEST_CASE("bash completes commands, values and folders", "[cli][completion]") {
    const TempFolder temp;
    fs::create_directories(temp.path() / "runs" / "a");
    CHECK(in_bash("plumb ins", temp.path()) == std::set<std::string>{"inspect"});
    // bash replaces what stands after the '='.
    CHECK(in_bash("plumb train mixer=hig", temp.path()) == std::set<std::string>{"highway"});
    CHECK(in_bash("plumb train train.wei", temp.path()) ==
          std::set<std::string>{"train.weight_decay="});
    CHECK(in_bash("plumb inspect ru", temp.path()) == std::set<std::string>{"runs"});
    CHECK(in_bash("plumb train data.path=ru", temp.path()) == std::set<std::string>{"runs"});
}

TEST_CASE("there is a script for three shells, and no fourth", "[cli][completion]") {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        const Outcome o = run_plumb({"completion", shell});
        CHECK(o.code == 0);
        CHECK_THAT(o.out, contains_text("complete --"));
        // The shell, where it is installed, reads it without complaint.
        const TempFolder temp;
        spill(temp / "script", o.out);
        if (std::system(fmt::format("command -v {} > /dev/null", shell).c_str()) == 0)
            CHECK(std::system(
                      fmt::format("{} -n '{}'", shell, (temp / "script").string()).c_str()) == 0);
    }
    CHECK(run_plumb({"completion", "cmd"}).code == 2);
}
