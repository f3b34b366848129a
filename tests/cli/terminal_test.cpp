#include "cli/terminal.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "support/environment.h"
#include "support/temp_folder.h"

#include <chrono>
#include <cmath>
#include <thread>

using namespace plumb;
using plumb::test::Environment;

namespace {

constexpr Terminal kPlain{};
constexpr Terminal kUnicode{false, false, true, 80};
constexpr Terminal kColour{true, true, true, 80};
const double kNaN = std::nan("");

std::string printed(const Terminal& terminal, void (*use)(ProgressLine&)) {
    std::FILE* file = std::tmpfile();
    {
        ProgressLine line(file, terminal);
        use(line);
    }
    std::rewind(file);
    std::string text(4096, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    return text;
}

}  // namespace

TEST_CASE("bars are exactly as wide as asked") {
    CHECK(bar(0.5, 4, kPlain) == "##  ");
    CHECK(bar(1.0, 3, kUnicode) == "███");
    CHECK(bar(0.5, 3, kUnicode) == "█▌ ");
    for (const Terminal& t : {kPlain, kUnicode})
        for (const double x : {0.0, 0.01, 0.33, 0.999, 1.0, 7.0, -1.0, kNaN, HUGE_VAL})
            CHECK(display_width(bar(x, 9, t)) == 9);
    CHECK(bar(kNaN, 2, kPlain) == "  ");
    CHECK(bar(7, 2, kPlain) == "##");
    CHECK(bar(0.5, 0, kPlain).empty());
}

TEST_CASE("heat cells: strength, sign, and what is not a number") {
    CHECK(heat_cell(1, 1, 2, kPlain) == "@@");
    CHECK(heat_cell(0, 1, 2, kPlain) == "..");
    CHECK(heat_cell(-1, 1, 2, kPlain) == "-@");
    CHECK(heat_cell(-1, 1, 1, kPlain) == "-");
    CHECK(heat_cell(kNaN, 1, 2, kPlain) == "??");
    CHECK(heat_cell(0, 0, 1, kPlain) == ".");
    CHECK(heat_cell(5, 1, 1, kPlain) == "@");
    CHECK(heat_cell(1, 1, 2, kUnicode) == "██");
    CHECK(heat_cell(1, 1, 2, kColour) == "\x1b[48;5;226m  \x1b[0m");
    CHECK(heat_cell(-1, 1, 1, kColour) == "\x1b[48;5;51m \x1b[0m");
    // A weight that is not zero never looks like zero.
    CHECK(heat_cell(1e-6, 1, 1, kPlain) == ":");
}

TEST_CASE("tables align columns and cut nothing") {
    Table table({"name", ">n"});
    table.add({"a", "10"});
    table.add({"längere", "5"});
    CHECK(table.text() == "name      n\na        10\nlängere   5\n");
    CHECK_THROWS_AS(table.add({"one"}), InternalError);
}

TEST_CASE("cells from files do not act on the terminal") {
    Table table({"name"});
    table.add({"a\x1b[2Jb\n"});
    table.add_styled({"\x1b[32mok\x1b[0m"});
    CHECK(table.text() == "name\na\\x1b[2Jb\\n\n\x1b[32mok\x1b[0m\n");
}

TEST_CASE("text is cut at columns, not inside a character") {
    CHECK(cut_to_width("äöü", 2) == "äö");
    CHECK(cut_to_width("ab", 5) == "ab");
    CHECK(display_width("äb█") == 3);
}

TEST_CASE("numbers take at most ten columns") {
    for (const double x : {0.0, 1.0, 123456789.0, -1.23456e-300, 1e-5, 0.333333})
        CHECK(short_number(x).size() <= 10);
    CHECK(short_number(0.0123456) == "0.0123");
    CHECK(short_number(kNaN).empty());
}

TEST_CASE("the terminal follows the environment, a file is no terminal") {
    std::FILE* file = std::tmpfile();
    const Environment no_all("LC_ALL", nullptr), no_ctype("LC_CTYPE", nullptr);
    {
        const Environment columns("COLUMNS", "132"), lang("LANG", "C.UTF-8");
        const Terminal t = Terminal::of(file);
        CHECK_FALSE(t.interactive);
        CHECK_FALSE(t.colour);
        CHECK(t.unicode);
        CHECK(t.width == 132);
    }
    const Environment columns("COLUMNS", nullptr), lang("LANG", "C");
    CHECK_FALSE(Terminal::of(file).unicode);
    CHECK(Terminal::of(file).width == 80);
    const Environment all("LC_ALL", "de_DE.utf8");
    CHECK(Terminal::of(file).unicode);
    std::fclose(file);
}

TEST_CASE("work that takes a while says how far it is, ever more slowly in a log") {
    const TempFolder temp;
    const std::string path = temp / "log";
    std::FILE* file = std::fopen(path.c_str(), "w");
    {
        WorkProgress never(file, Terminal{}, 1000), soon(file, Terminal{}, 0.001);
        never.update(0.5, "never");
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        soon.update(0.999, "a");
        soon.update(0.999, "too soon for a log");
        std::this_thread::sleep_for(std::chrono::milliseconds(1000));
        soon.update(1, "b");
    }
    std::fclose(file);
    CHECK(read_file(path) == "100%, ETA 0s | a\n100%, ETA 0s | b\n");
}

TEST_CASE("progress: lines in a log, one redrawn line on a terminal") {
    const auto use = [](ProgressLine& line) {
        line.update(0.25, "step 1");
        line.note("saved");
        line.update(0.5, "step 2");
    };
    CHECK(printed(kPlain, use) == "step 1\nsaved\nstep 2\n");
    const std::string drawn = printed({true, false, false, 80}, use);
    CHECK(drawn ==
          "\r[####            ] step 1\x1b[K"
          "\r\x1b[Ksaved\n[####            ] step 1"
          "\r[########        ] step 2\x1b[K\n");
    CHECK(printed({true, false, false, 22}, [](ProgressLine& line) { line.update(1, "abcdef"); }) ==
          "\r[################] ab\x1b[K\n");
}
