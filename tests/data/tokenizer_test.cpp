#include "data/tokenizer.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "data/tokenizer_kinds.h"
#include "support/temp_folder.h"

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
    CHECK(tokenizer.definition().empty());
}

TEST_CASE("char tokenizer sorts code points and round-trips every UTF-8 length") {
    const std::string text =
        "b\xc2\xa3"           // £, 2 bytes
        "a\xe2\x82\xac"       // €, 3 bytes
        "\n\xf0\x9f\x8c\x8a"  // U+1F30A, 4 bytes
        "a\xf4\x8f\xbf\xbf";  // U+10FFFF
    const Tokenizer tokenizer = Tokenizer::chars_of(text);
    CHECK(tokenizer.vocab() == 7);
    CHECK(tokenizer.definition() == "\nab\xc2\xa3\xe2\x82\xac\xf0\x9f\x8c\x8a\xf4\x8f\xbf\xbf");
    CHECK(tokenizer.encode(text) == std::vector<std::int32_t>{2, 3, 1, 4, 0, 5, 1, 6});
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    // What meta.json stores is enough to make it again.
    const Tokenizer again = stored_tokenizer("char", tokenizer.definition(), "");
    CHECK(again.encode(text) == tokenizer.encode(text));
    CHECK(again == tokenizer);
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
    REQUIRE_THROWS_AS(Tokenizer::chars_of(""), UsageError);
    REQUIRE_THROWS_AS(Tokenizer::chars_of("a\xff"), UsageError);
    CHECK(tokenizer.decode(std::vector<std::int32_t>{3, 0}) ==
          "\xef\xbf\xbd"
          "a");
    REQUIRE_THROWS_AS(tokenizer.decode(std::vector<std::int32_t>{-1}), InternalError);
}

TEST_CASE("a tokenizer is made as it is typed", "[data]") {
    std::string text;
    for (int i = 0; i < 50; ++i) text += "the cat the hat ";
    const auto made = [&](const std::string& typed) {
        return parse_tokenizer(typed).make({text + "z", text}, {});
    };
    CHECK(made("byte") == Tokenizer::bytes());
    CHECK(made("char") == Tokenizer::chars_of(text + "z"));
    const Tokenizer pairs = made("bpe:262");
    CHECK(pairs.kind() == "bpe");
    CHECK(pairs.vocab() == 262);
    CHECK(pairs.longest() == 4);  // " the"
    CHECK(pairs.describe() == "bpe, 262 tokens");
    CHECK(pairs.decode(pairs.encode("the bat\n")) == "the bat\n");
    CHECK(pairs.decode(std::vector<std::int32_t>{262}) == "\xef\xbf\xbd");
    CHECK(pairs == made("bpe:262"));
    CHECK_FALSE(pairs == made("bpe:261"));
    CHECK_FALSE(pairs == Tokenizer::bytes());
    // A folder with its files is the same tokenizer, typed or stored.
    const TempFolder folder;
    for (const auto& [name, content] : pairs.files()) write_file(folder / name, content);
    CHECK(made("gpt2:" + folder.path().string()) == pairs);
    CHECK(stored_tokenizer("bpe", "", folder.path()) == pairs);
    for (const TokenizerKind& kind : tokenizer_kinds())
        CHECK_THAT(tokenizer_choices(), contains_text(kind.name));
}

TEST_CASE("what is no tokenizer is refused before any text is read", "[data]") {
    for (const char* typed : {"bpe", "bpe:", "bpe:x", "bpe:256", "bpe:1048577", "bpe:-1", "bpe:4e3",
                              "byte:1", "char:", "gpt2", "gpt2:", "", "pbe:300"}) {
        INFO(typed);
        CHECK_THROWS_AS(parse_tokenizer(typed), UsageError);
    }
    CHECK_THROWS_WITH(parse_tokenizer("bpe"), contains_text("--tokenizer bpe:V"));
    CHECK_THROWS_WITH(parse_tokenizer("bpe:9"), contains_text("bpe:4096"));
    CHECK_THROWS_WITH(parse_tokenizer("words"), contains_text("byte|char|bpe:V|gpt2:DIR"));
    CHECK_THROWS_AS(parse_tokenizer("gpt2:no/such/folder"), IoError);
    CHECK_THROWS_WITH(parse_tokenizer("gpt2:no/such/folder"), contains_text("encoder.json"));
    CHECK_THROWS_AS(stored_tokenizer("gpt2", "", ""), UsageError);
    CHECK_THROWS_AS(stored_tokenizer("char", "ba", ""), UsageError);
}
