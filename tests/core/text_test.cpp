#include "core/text.h"

#include "catch.h"
#include "core/utf8.h"

using namespace plumb;

TEST_CASE("nothing that is printed acts on the terminal", "[core]") {
    CHECK(printable("plain, äöü, 漢字, \U0001f600\n\tnext") ==
          "plain, äöü, 漢字, \U0001f600\n\tnext");
    CHECK(printable("\x1b[2J\x07\r\x7f") == "\\x1b[2J\\x07\\x0d\\x7f");
    CHECK(printable("\xc2\x9b"
                    "31m") == "\\x9b31m");         // C1 CSI as UTF-8
    CHECK(printable("\x9b\xff") == "\\x9b\\xff");  // and as a byte
    CHECK(printable("a\u202eb\u2066c\u200fd\u2028e") == "a\\u202eb\\u2066c\\u200fd\\u2028e");
    CHECK(printable(std::string_view("\0x", 2)) == "\\x00x");
    CHECK(printable_line("a\nb\tc") == "a\\nb\\tc");
    for (int byte = 0; byte < 256; ++byte)
        for (const char* after : {"", "x", "\x80", "\x80\x80", "\xbf\xbf\xbf"}) {
            const std::string shown = printable_line(static_cast<char>(byte) + std::string(after));
            CHECK_FALSE(invalid_utf8(shown));
            for (const char c : shown) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
        }
}

TEST_CASE("UTF-8 is told from what is not", "[core]") {
    for (const char* good : {"", "a", "é", "€", "\U0010ffff", "\ud7ff"})
        CHECK_FALSE(invalid_utf8(good));
    for (const char* bad :
         {"\x80", "\xc0\xaf", "\xc1\x81", "\xed\xa0\x80", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xc3("})
        CHECK(invalid_utf8(bad) == std::optional<std::size_t>(0));
    CHECK(invalid_utf8("ab\xff") == std::optional<std::size_t>(2));
}

TEST_CASE("words of a command that works when pasted", "[core]") {
    CHECK(shell_quoted("runs/a-1_b.c") == "runs/a-1_b.c");
    CHECK(shell_quoted("data.path=/tmp/x") == "data.path=/tmp/x");
    CHECK(shell_quoted("größe") == "größe");
    CHECK(shell_quoted("my run") == "'my run'");
    CHECK(shell_quoted("it's $HOME") == "'it'\\''s $HOME'");
    CHECK(shell_quoted("") == "''");
    CHECK(shell_quoted("a;b*") == "'a;b*'");
}

TEST_CASE("words are wrapped at columns", "[core]") {
    CHECK(wrap("aa bb  cc", 5) == std::vector<std::string>{"aa bb", "cc"});
    CHECK(wrap("longer than four", 4) == std::vector<std::string>{"longer", "than", "four"});
    CHECK(wrap("ää öö", 5).size() == 1);
    CHECK(wrap("", 5) == std::vector<std::string>{""});
}

TEST_CASE("text helpers", "[core]") {
    CHECK(nearest("atnres", {"standard", "attnres", "hyper"}) == "attnres");
    CHECK(nearest("tarin", {"train", "data"}) == "train");
    CHECK(nearest("att", {"standard", "attnres"}) == "attnres");
    CHECK(nearest("x", {}) == "");
    // What is not near is not offered.
    CHECK(nearest("", {"abc", "d"}) == "");
    CHECK(nearest("banana", {"standard", "attnres", "hyper"}) == "");
    CHECK(nearest("x", {"d"}) == "");
    CHECK(nearest("att", {"attnres", "attnres_block"}) == "");
    CHECK(nearest(std::string(100000, 'a'), {std::string(100000, 'b')}) == "");
    CHECK(did_you_mean("hypr", {"hyper"}) == "; did you mean 'hyper'?");
    CHECK(did_you_mean("zebra", {"hyper"}).empty());
    CHECK(thousands(0) == "0");
    CHECK(thousands(999) == "999");
    CHECK(thousands(1234567) == "1,234,567");
    CHECK(thousands(-1000) == "-1,000");
    CHECK(human_bytes(12) == "12 B");
    CHECK(human_bytes(1536) == "1.5 KiB");
    CHECK(human_bytes(3.0 * (1 << 30)) == "3.0 GiB");
    CHECK(human_seconds(59.4) == "59s");
    CHECK(human_seconds(75) == "1m15s");
    CHECK(human_seconds(7260) == "2h01m");
}
