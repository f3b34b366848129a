// Help, lists and topics: everything can be found, and reads at 60 columns.
#include "catch.h"
#include "config/config.h"
#include "core/text.h"
#include "support/environment.h"
#include "support/run_program.h"

#include <sstream>

using namespace plumb;
using namespace plumb::test;

namespace {

// Only a line of a single long word may be wider than the page.
void check_width(const std::string& text, int width) {
    for (const std::string& line : lines_of(text)) {
        INFO(line);
        std::istringstream words(line);
        std::string first, second;
        words >> first >> second;
        CHECK((display_width(line) <= width || second.empty() || second == "\\"));
    }
}

// The subcommands that `plumb help` lists.
std::vector<std::string> subcommands() {
    const std::vector<std::string> lines = lines_of(run_plumb({"help"}).out);
    std::vector<std::string> names;
    const auto at = std::find(lines.begin(), lines.end(), "Subcommands");
    for (auto line = at; line != lines.end() && ++line != lines.end() && !line->empty();) {
        std::istringstream words(*line);
        for (std::string word; words >> word;) {
            if (word.back() == ',') word.pop_back();
            names.push_back(word);
        }
    }
    return names;
}

}  // namespace

TEST_CASE("every page of help reads at 60 columns", "[cli][help]") {
    const Environment columns("COLUMNS", "60");
    const std::vector<std::string> names = subcommands();
    REQUIRE(names.size() >= 10);
    check_width(run_plumb({"--help"}).out, 60);
    for (const std::string& name : names) {
        const Outcome page = run_plumb({name, "--help"});
        INFO(name);
        CHECK(page.code == 0);
        CHECK_THAT(page.out, contains_text("Usage: plumb " + name));
        check_width(page.out, 60);
        CHECK(run_plumb({"help", name}).out == page.out);
    }
    check_width(run_plumb({"help"}).out, 60);
    check_width(run_plumb({"help", "data", "prepare"}).out, 60);
    check_width(run_plumb({"list"}).out, 60);
    check_width(run_plumb({"list", "settings"}).out, 60);
}

TEST_CASE("an example that is cut for the page is still one command", "[cli][help]") {
    const Environment columns("COLUMNS", "60");
    const std::vector<std::string> lines = lines_of(run_plumb({"train", "--help"}).out);
    bool seen = false;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (!lines[i].starts_with("  plumb train") || !lines[i].ends_with(" \\")) continue;
        seen = true;
        REQUIRE(i + 1 < lines.size());
        CHECK(lines[i + 1].starts_with("      "));
    }
    CHECK(seen);
}

TEST_CASE("every setting is listed with its meaning, and has a page", "[cli][help]") {
    const auto json = nlohmann::json::parse(run_plumb({"list", "settings", "--json"}).out);
    const std::vector<FieldInfo> all = fields();
    REQUIRE(json.size() == all.size());
    for (std::size_t i = 0; i < json.size(); ++i) {
        const FieldInfo& f = all[i];
        CHECK(json[i]["key"] == f.key);
        CHECK(json[i]["meaning"] == f.help);
        CHECK(json[i]["changes_numbers"] == f.changes_numbers);
        CHECK(json[i]["allowed"] == f.allowed);
        CHECK(json[i].contains("default"));
    }
    const std::string text = run_plumb({"list", "settings"}).out;
    for (const FieldInfo& f : fields()) CHECK_THAT(text, contains_text(f.key));
    const Outcome page = run_plumb({"help", "train.lr"});
    CHECK(page.code == 0);
    for (const char* part : {"train.lr", "learning rate", "number, default 0.001", "above 0",
                             "changes the numbers", "plumb train train.lr=", "[train]", "lr = "})
        CHECK_THAT(page.out, contains_text(part));
    CHECK_THAT(run_plumb({"help", "train.log_every"}).out,
               contains_text("does not change the numbers"));
    CHECK_THAT(run_plumb({"help", "mixer.streams"}).out,
               contains_text("only with mixer=hyper or mhc"));
}

TEST_CASE("help finds a setting by its last part, mixers, tasks and corpora", "[cli][help]") {
    CHECK(run_plumb({"help", "lr"}).out == run_plumb({"help", "train.lr"}).out);
    CHECK_THAT(run_plumb({"help", "mhc"}).out, contains_text("mixer.sinkhorn_iters"));
    CHECK_THAT(run_plumb({"help", "copy"}).out, contains_text("plumb train data.task=copy"));
    CHECK_THAT(run_plumb({"help", "austen"}).out, contains_text("plumb data prepare austen"));
    CHECK_THAT(run_plumb({"help", "settings"}).out, contains_text("train.lr"));
    // Every word that `plumb help` shows is a topic.
    const Outcome all = run_plumb({"help"});
    for (const FieldInfo& f : fields()) CHECK_THAT(all.out, contains_text(f.key));
}

TEST_CASE("a topic that is none names one only if it is near", "[cli][help]") {
    const Outcome near = run_plumb({"help", "train.warmpu"});
    CHECK(near.code == 2);
    CHECK_THAT(near.out, contains_text("did you mean 'train.warmup'?"));
    const Outcome far = run_plumb({"help", "chocolate"});
    CHECK(far.code == 2);
    CHECK(far.out.find("did you mean") == std::string::npos);
    CHECK_THAT(far.out, contains_text("plumb help"));
}

TEST_CASE("help knows kinds of parameters, and who mentions a word", "[cli][help]") {
    const Outcome kind = run_plumb({"help", "gate.bias"});
    CHECK(kind.code == 0);
    for (const char* text :
         {"learned by highway", "mixer.gate_bias: where the gates start", "mixer.freeze=gate.bias"})
        CHECK_THAT(kind.out, contains_text(text));
    const Outcome both = run_plumb({"help", "key_gain"});  // a setting too
    for (const char* text : {"mixer.key_gain (from", "key_gain (parameters", "attnres_block"})
        CHECK_THAT(both.out, contains_text(text));
    const Outcome word = run_plumb({"help", "probe"});
    CHECK(word.code == 2);
    CHECK_THAT(word.out, contains_text("`plumb list settings probe`") &&
                             contains_text("`plumb list measures probe`"));
    CHECK_THAT(run_plumb({"help", "chocolate"}).out, !contains_text("plumb list"));
}

TEST_CASE("help says what kind of value every option takes", "[cli][help]") {
    for (const std::string& name : subcommands())
        for (const std::string& line : lines_of(run_plumb({name, "--help"}).out)) {
            INFO(name << ": " << line);
            const bool any_text = line.find("--label") != line.npos ||
                                  line.find("--prompt TEXT") != line.npos ||
                                  line.find("--separator") != line.npos;
            CHECK((any_text || line.find(" TEXT ") == line.npos));
        }
    const std::string generate = run_plumb({"generate", "--help"}).out;
    for (const char* text : {"--threads N", "--prompt-file FILE", "(default: 200)", "--data DIR"})
        CHECK_THAT(generate, contains_text(text));
}

TEST_CASE("lists can be searched, and name their kinds", "[cli][help]") {
    const auto found = nlohmann::json::parse(run_plumb({"list", "settings", "WARM", "--json"}).out);
    REQUIRE(!found.empty());
    for (const auto& item : found)
        CHECK((item.dump().find("warm") != std::string::npos ||
               item.dump().find("Warm") != std::string::npos));
    CHECK(found.size() < fields().size());
    for (const char* kind : {"mixers", "tasks", "corpora", "settings"})
        CHECK_THAT(run_plumb({"list"}).out, contains_text(std::string("plumb list ") + kind));
}

TEST_CASE("mistyped options and commands name what is near", "[cli][help]") {
    const Outcome option = run_plumb({"train", "--sede", "1"});
    CHECK(option.code == 2);
    CHECK_THAT(option.out, contains_text("did you mean '--seed'?"));
    CHECK_THAT(option.out, contains_text("`plumb train --help`"));
    const Outcome command = run_plumb({"data", "prepar"});
    CHECK(command.code == 2);
    CHECK_THAT(command.out, contains_text("did you mean 'prepare'?"));
    CHECK_THAT(run_plumb({"tarin"}).out, contains_text("did you mean 'train'?"));
    CHECK(run_plumb({"banana"}).out.find("did you mean") == std::string::npos);
}

TEST_CASE("the manual page names every subcommand and setting", "[cli][help]") {
    const Outcome o = run_plumb({"help", "--man"});
    CHECK(o.code == 0);
    CHECK(o.out.starts_with(".TH PLUMB 1"));
    for (const std::string& name : subcommands())
        CHECK_THAT(o.out, contains_text(".SS plumb " + name));
    for (const FieldInfo& f : fields()) CHECK_THAT(o.out, contains_text(f.key));
    // Every line that begins with a dot is a request of ours, not text.
    for (const std::string& line : lines_of(o.out))
        if (line.starts_with(".")) {
            const std::string request = line.substr(0, line.find(' '));
            const std::vector<std::string> ours{".TH", ".SH", ".SS", ".TP", ".PP",
                                                ".nf", ".fi", ".RS", ".RE"};
            CHECK(std::find(ours.begin(), ours.end(), request) != ours.end());
        }
}
