#include "data/tokenizer.h"

#include "catch.h"
#include "core/check.h"

using namespace plumb;

TEST_CASE("byte tokenizer takes any bytes and gives them back") {
    const Tokenizer tokenizer = Tokenizer::bytes();
    std::string all;
    for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
    const auto tokens = tokenizer.encode(all);
    CHECK(tokenizer.vocab() == 256);
    CHECK(tokens.size() == 256);
    CHECK(tokens[200] == 200);
    CHECK(tokenizer.decode(tokens) == all);
    CHECK(tokenizer.kind() == std::string("byte"));
    CHECK(tokenizer.alphabet().empty());
}

TEST_CASE("char tokenizer sorts code points and round-trips every UTF-8 length") {
    const std::string text =
        "b\xc2\xa3"           // £, 2 bytes
        "a\xe2\x82\xac"       // €, 3 bytes
        "\n\xf0\x9f\x8c\x8a"  // U+1F30A, 4 bytes
        "a\xf4\x8f\xbf\xbf";  // U+10FFFF
    const Tokenizer tokenizer = Tokenizer::chars_of(text);
    CHECK(tokenizer.vocab() == 7);
    CHECK(tokenizer.alphabet() == "\nab\xc2\xa3\xe2\x82\xac\xf0\x9f\x8c\x8a\xf4\x8f\xbf\xbf");
    CHECK(tokenizer.encode(text) == std::vector<std::int32_t>{2, 3, 1, 4, 0, 5, 1, 6});
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    // What meta.json stores is enough to make it again.
    const Tokenizer again = Tokenizer::make("char", tokenizer.alphabet());
    CHECK(again.encode(text) == tokenizer.encode(text));
}

TEST_CASE("invalid UTF-8 is found at its offset") {
    CHECK(!invalid_utf8("plain, \xc2\xa3, \xe2\x82\xac"));
    CHECK(invalid_utf8("abc\xff") == 3);
    CHECK(invalid_utf8("ab\xc0\x80") == 2);         // overlong NUL
    CHECK(invalid_utf8("a\xe0\x80\xaf") == 1);      // overlong '/'
    CHECK(invalid_utf8("\xed\xa0\x80") == 0);       // surrogate
    CHECK(invalid_utf8("x\xf4\x90\x80\x80") == 1);  // beyond U+10FFFF
    CHECK(invalid_utf8("xy\xe2\x82") == 2);         // cut short
    CHECK(invalid_utf8("\x80") == 0);               // continuation first
}

TEST_CASE("tokenizer errors say what and where") {
    const Tokenizer tokenizer = Tokenizer::chars_of("abc");
    REQUIRE_THROWS_WITH(tokenizer.encode("ab\xc2\xa3"), contains_text("\xc2\xa3") &&
                                                            contains_text("U+00A3") &&
                                                            contains_text("offset 2"));
    REQUIRE_THROWS_AS(Tokenizer::make("bpe:512", "abc"), UsageError);
    REQUIRE_THROWS_WITH(Tokenizer::make("bpe:512", "abc"),
                        contains_text("byte") && contains_text("char"));
    REQUIRE_THROWS_AS(Tokenizer::chars_of(""), UsageError);
    REQUIRE_THROWS_AS(Tokenizer::chars_of("a\xff"), UsageError);
    CHECK(tokenizer.decode(std::vector<std::int32_t>{3, 0}) ==
          "\xef\xbf\xbd"
          "a");
    REQUIRE_THROWS_AS(tokenizer.decode(std::vector<std::int32_t>{-1}), InternalError);
}
