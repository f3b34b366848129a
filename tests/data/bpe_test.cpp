// Byte-level BPE against what the tokenizers library made (scripts/oracle/bpe.py), and its files.
#include "data/bpe.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "data/bpe_files.h"
#include "data/bpe_trainer.h"
#include "data/pre_tokens.h"
#include "support/temp_folder.h"

using namespace plumb;
using nlohmann::json;

namespace {

const json& fixture() {
    static const auto stored = read_json_object<json>("tests/fixtures/bpe.json");
    return stored;
}

const Bpe& trained() {
    static const Bpe bpe = train_bpe(fixture()["text"].get<std::string>(), 640);
    return bpe;
}

std::vector<std::string> words_of(const std::string& text) {
    std::vector<std::string> words;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = pre_token_end(text, begin);
        words.push_back(text.substr(begin, end - begin));
        begin = end;
    }
    return words;
}

std::string text_of(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += word;
    return text;
}

Bpe read_from(const std::string& vocab, const std::string& merges) {
    return parse_bpe(vocab, "v.json", merges, "m.txt");
}

}  // namespace

TEST_CASE("a text is cut into GPT-2's words", "[data]") {
    for (const json& words : fixture()["cut"]) {
        const auto want = words.get<std::vector<std::string>>();
        CHECK(words_of(text_of(want)) == want);
    }
    // A byte that is not UTF-8 is neither letter, number nor space.
    const std::vector<std::string> broken{"a", "\xff\xc3", " b", "1", " \xe6\x97", "  ", " c"};
    CHECK(words_of(text_of(broken)) == broken);
}

TEST_CASE("a vocabulary is learnt as the tokenizers library learns it", "[data]") {
    CHECK(json::parse(bpe_vocab_text(trained())) == fixture()["vocab"]);
    std::string merges = "#version: 0.2\n";
    for (const json& merge : fixture()["merges"]) merges += merge.get<std::string>() + "\n";
    CHECK(bpe_merges_text(trained()) == merges);
    const Bpe again = train_bpe(fixture()["text"].get<std::string>(), 640);
    CHECK(again.merges() == trained().merges());
    // A smaller vocabulary is the beginning of a larger one.
    const Bpe small = train_bpe(fixture()["text"].get<std::string>(), 300);
    CHECK(std::equal(small.merges().begin(), small.merges().end(), trained().merges().begin()));
}

TEST_CASE("a text has the tokens that the tokenizers library gives it", "[data]") {
    for (const json& example : fixture()["encoded"]) {
        const auto text = example["text"].get<std::string>();
        CHECK(trained().encode(text) == example["ids"].get<std::vector<std::int32_t>>());
        CHECK(trained().decode(trained().encode(text)) == text);
    }
}

TEST_CASE("any bytes have tokens and come back, in a word of any length", "[data]") {
    std::string bytes;
    std::uint32_t x = 1;
    for (int i = 0; i < 100'000; ++i) {
        x = x * 1664525 + 1013904223;
        bytes.push_back(static_cast<char>(x >> 24));
    }
    CHECK(trained().decode(trained().encode(bytes)) == bytes);
    const std::string longest(1 << 18, 'a');  // quadratic work would take minutes
    CHECK(trained().decode(trained().encode(longest)) == longest);
    CHECK(trained().encode(longest).size() <= longest.size() / 4);
    CHECK(trained().encode("").empty());
    CHECK(trained().decode(std::vector<std::int32_t>{'!' - '!', 640}) == "!\xef\xbf\xbd");
    REQUIRE_THROWS_AS(trained().decode(std::vector<std::int32_t>{-1}), InternalError);
}

TEST_CASE("what a text does not give is refused, with what it does", "[data]") {
    REQUIRE_THROWS_AS(train_bpe("abab", 255), UsageError);
    CHECK(train_bpe("abab", 256).merges().empty());
    CHECK(train_bpe("abab", 257).tokens().back() == "ab");
    CHECK_THROWS_WITH(train_bpe("abab", 258),
                      contains_text("no more than 257") && contains_text("--tokenizer bpe:257"));
    std::vector<double> done;
    train_bpe(fixture()["text"].get<std::string>(), 640,
              [&](double fraction, std::string_view) { done.push_back(fraction); });
    CHECK(done.size() >= 384 / 64);
    CHECK(std::is_sorted(done.begin(), done.end()));
    CHECK((done.front() >= 0 && done.back() <= 1));
}

TEST_CASE("GPT-2's files are written and read under either name", "[data]") {
    const TempFolder folder;
    const std::string vocab = bpe_vocab_text(trained()), merges = bpe_merges_text(trained());
    REQUIRE_THROWS_WITH(read_bpe(folder.path()), contains_text(folder.path()) &&
                                                     contains_text("vocab.json and merges.txt") &&
                                                     contains_text("encoder.json and vocab.bpe"));
    write_file(folder / "encoder.json", vocab);
    write_file(folder / "vocab.bpe", merges);
    CHECK(read_bpe(folder.path()).merges() == trained().merges());
    CHECK(read_bpe(folder.path()).tokens() == trained().tokens());
    // Another program's layout: indented, escaped, CR LF, no version; <|endoftext|> as in GPT-2.
    json more = json::parse(vocab);
    more["<|endoftext|>"] = 640;
    std::string lines;
    for (const char c : merges.substr(merges.find('\n') + 1))
        lines += c == '\n' ? std::string("\r\n") : std::string(1, c);
    const Bpe foreign = read_from(more.dump(4, ' ', true), lines);
    CHECK(foreign.merges() == trained().merges());
    CHECK(foreign.decode(std::vector<std::int32_t>{640}) == "<|endoftext|>");
    const auto typed = foreign.encode("a<|endoftext|>");
    CHECK(std::count(typed.begin(), typed.end(), 640) == 0);
    CHECK(foreign.decode(typed) == "a<|endoftext|>");
    CHECK(read_from(bpe_vocab_text(foreign), bpe_merges_text(foreign)).tokens() ==
          foreign.tokens());
}

TEST_CASE("bytes are written as GPT-2 writes them", "[data]") {
    CHECK(bpe_characters(" a\n\xc3\xa9\xad") == "\u0120a\u010a\u00c3\u00a9\u0143");
    std::string all;
    for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
    CHECK(bpe_bytes(bpe_characters(all)) == all);
    CHECK(bpe_bytes("\u6771") == "\u6771");  // none of the characters: itself
    CHECK(bpe_alphabet().front() == "!");
    CHECK(bpe_alphabet().back() == "\xad");
}

TEST_CASE("damaged files of a vocabulary are refused with the place", "[data]") {
    const std::string vocab = bpe_vocab_text(trained()), merges = bpe_merges_text(trained());
    const auto refused = [](const std::string& v, const std::string& m, const std::string& what) {
        INFO(what);
        REQUIRE_THROWS_AS(read_from(v, m), IoError);
        CHECK_THROWS_WITH(read_from(v, m), contains_text(what));
    };
    const auto changed = [&](auto change) {
        json copy = json::parse(vocab);
        change(copy);
        return copy.dump();
    };
    CHECK_NOTHROW(read_from(changed([](json&) {}), merges));
    refused("{", merges, "v.json");
    refused("[1]", merges, "v.json: not a JSON object");
    refused("{}", merges, "v.json: not a JSON object");
    refused(changed([](json& j) { j["!"] = 5; }), merges, "two tokens have the number 5");
    refused(changed([](json& j) { j["!"] = 640; }), merges, "has the number 640");
    refused(changed([](json& j) { j["!"] = -1; }), merges, "has the number -1");
    refused(changed([](json& j) { j["!"] = "x"; }), merges, "\"x\"");
    refused(changed([](json& j) { j.erase("!"), j["\u6771"] = 0; }), merges, "byte 0x21");
    refused(changed([](json& j) { j.erase("!"), j[""] = 0; }), merges, "empty");
    refused(vocab, "#version: 0.2\nt h\nth\n", "m.txt, line 3");
    refused(vocab, "#version: 0.2\nt h\nt h e\n", "m.txt, line 3");
    refused(vocab, "#version: 0.2\nt h\nx q\n", "'xq' is not in the vocabulary");
    refused(vocab, "t \u6771\n", "m.txt, line 1");
    // Two spellings of the same bytes.
    refused(changed([](json& j) { j["\u00e6\u013f\u00b1"] = 640, j["\u6771"] = 641; }), merges,
            "same bytes");
}
