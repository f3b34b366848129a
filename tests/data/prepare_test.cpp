// Several texts, splits of their own, line ends; and folders that a kill left half written.
#include "data/prepare.h"

#include "catch.h"
#include "core/check.h"
#include "data/dataset.h"
#include "data/token_folder.h"
#include "support/run_program.h"

using namespace plumb;
using test::slurp;
using test::spill;
namespace fs = std::filesystem;

namespace {

SourceText text_of(const std::string& name, const std::string& text) { return {name, text, ""}; }

SplitTexts split(const std::vector<std::string>& texts, double val, double test,
                 const std::string& separator = "|") {
    PrepareSources sources;
    for (const std::string& text : texts) sources.text.push_back(text_of("t", text));
    PrepareOptions options;
    options.val_fraction = val, options.test_fraction = test, options.separator = separator;
    return split_sources(sources, options);
}

// 400 lines, prepared into `out` with a test split.
Prepared prepare_lines(const fs::path& out, bool force = false) {
    std::string text;
    for (int i = 0; i < 400; ++i) text += fmt::format("line {}\n", i);
    PrepareOptions options;
    options.out = out.string(), options.test_fraction = 0.05, options.force = force;
    return prepare_token_files({{text_of("lines.txt", text)}, {}, {}}, options);
}

std::unique_ptr<Dataset> open_prepared(const fs::path& folder) {
    DataConfig config;
    config.path = folder.string();
    return open_dataset(config, 16);
}

}  // namespace

TEST_CASE("every split holds the end of every text, parts are joined by the separator", "[data]") {
    const SplitTexts one = split({"0123456789"}, 0.2, 0);
    CHECK(one.train == "01234567");
    CHECK(one.val == "89");
    CHECK(one.test.empty());
    const SplitTexts two = split({"0123456789", "abcdefghij"}, 0.2, 0.1);
    CHECK(two.train == "0123456|abcdefg");
    CHECK(two.val == "78|hi");
    CHECK(two.test == "9|j");
    const SplitTexts tiny = split({"", "x", "0123456789"}, 0.2, 0, "\n");
    CHECK(tiny.train == "01234567");  // of one byte, the last fifth is that byte
    CHECK(tiny.val == "x\n89");
    CHECK(split({"ab", "cd"}, 0.5, 0, "").train == "ac");
    // No character is cut: each pound sign has two bytes.
    const SplitTexts pounds = split({"\xc2\xa3\xc2\xa3\xc2\xa3"}, 0.4, 0.3);
    CHECK(pounds.train == "\xc2\xa3");
    CHECK(pounds.val == "\xc2\xa3");
    CHECK(pounds.test == "\xc2\xa3");
}

TEST_CASE("texts of their own are validation and test, and nothing is cut for them", "[data]") {
    PrepareSources sources{
        {text_of("a", "0123456789")}, {text_of("v", "VV"), text_of("w", "WW")}, {}};
    PrepareOptions options;
    CHECK(split_sources(sources, options).train == "0123456789");
    CHECK(split_sources(sources, options).val == "VV\nWW");
    options.test_fraction = 0.2;
    CHECK(split_sources(sources, options).train == "01234567");
    CHECK(split_sources(sources, options).test == "89");
    options.test_fraction = 0;
    sources.test = {text_of("x", "XX")};
    CHECK(split_sources(sources, options).test == "XX");
    CHECK(split_sources(sources, options).train == "0123456789");
}

TEST_CASE("byte order marks and CR LF are named and mended, --raw and binary files are kept",
          "[data]") {
    SourceText text = text_of("a.txt", "\xef\xbb\xbfone\r\ntwo\r\nthree\rfour\n\r");
    const auto notices = normalize_text(text);
    CHECK(text.text == "one\ntwo\nthree\rfour\n\r");
    REQUIRE(notices.size() == 2);
    CHECK_THAT(notices[0], contains_text("a.txt") && contains_text("byte order mark"));
    CHECK_THAT(notices[1], contains_text("a.txt") && contains_text("2 lines"));
    CHECK(normalize_text(text).empty());
    SourceText binary = text_of("b", std::string("\0\r\n", 3));
    CHECK(normalize_text(binary).empty());
    CHECK(binary.text == std::string("\0\r\n", 3));
    SourceText wide = text_of("w", std::string("\xff\xfe"
                                               "a\0",
                                               4));
    REQUIRE(normalize_text(wide).size() == 1);
    CHECK_THAT(normalize_text(wide)[0], contains_text("UTF-16"));

    const TempFolder folder;
    PrepareOptions options;
    options.out = (folder / "raw").string(), options.raw = true;
    const SourceText crlf = text_of("c", "a\r\na\r\na\r\na\r\na\r\na\r\n");
    CHECK(prepare_token_files({{crlf}, {}, {}}, options).meta.bytes == 18);
    options.out = (folder / "mended").string(), options.raw = false;
    const Prepared made = prepare_token_files({{crlf}, {}, {}}, options);
    CHECK(made.meta.bytes == 12);
    CHECK(made.notices.size() == 1);
}

TEST_CASE("a test split is written, described and never trained on", "[data]") {
    const TempFolder folder;
    const Prepared made = prepare_lines(folder / "d");
    const auto meta = read_token_meta(folder / "d");
    REQUIRE(meta);
    CHECK(meta->same_content(made.meta));
    CHECK(meta->test.bytes_per_token == 1);
    CHECK(meta->train.tokens + meta->val.tokens + meta->test.tokens == meta->bytes);
    const std::string bins =
        slurp(folder / "d/train.bin") + slurp(folder / "d/val.bin") + slurp(folder / "d/test.bin");
    std::string text;
    for (std::size_t i = 0; i < bins.size(); i += 2) text += bins[i];
    CHECK(sha256_hex(text) == meta->text_sha256);
    CHECK(sha256_hex(slurp(folder / "d/test.bin")) == meta->test.sha256);
    CHECK(prepare_lines(folder / "d").unchanged);
    fs::remove(folder / "d/test.bin");
    CHECK_FALSE(prepare_lines(folder / "d").unchanged);  // completed, nothing was lost
    CHECK(fs::exists(folder / "d/test.bin"));
}

TEST_CASE("a preparation killed at any point is not opened and can be typed again", "[data]") {
    const TempFolder folder;
    const fs::path whole = folder / "whole";
    prepare_lines(whole);
    const std::vector<const char*> order{"test.bin", "train.bin", "val.bin", "meta.json"};
    for (std::size_t n_written = 0; n_written <= order.size(); ++n_written) {
        const fs::path cut = folder / fmt::format("cut{}", n_written);
        fs::create_directory(cut);
        spill(cut / kUnfinished, "");
        spill(cut / ".val.bin.tmp.host.123", "half");
        for (std::size_t i = 0; i < n_written; ++i) fs::copy(whole / order[i], cut / order[i]);
        REQUIRE_THROWS_AS(open_prepared(cut), IoError);
        REQUIRE_THROWS_WITH(open_prepared(cut), contains_text("interrupted"));
        CHECK_FALSE(prepare_lines(cut).unchanged);
        CHECK_FALSE(is_unfinished(cut));
        CHECK(test::content(cut) == test::content(whole));
        CHECK(open_prepared(cut)->fingerprint() == open_prepared(whole)->fingerprint());
    }
}

TEST_CASE("links are replaced and not followed, what is not ours is kept", "[data]") {
    const TempFolder folder;
    spill(folder / "precious", "do not touch");
    fs::create_directory(folder / "d");
    fs::create_symlink(folder / "precious", folder / "d/train.bin");
    fs::create_symlink(folder / "nowhere", folder / "d/test.bin");
    REQUIRE_THROWS_WITH(prepare_lines(folder / "d"), contains_text("--force"));
    prepare_lines(folder / "d", true);
    CHECK(slurp(folder / "precious") == "do not touch");
    CHECK_FALSE(fs::exists(folder / "nowhere"));
    CHECK_FALSE(fs::is_symlink(folder / "d/train.bin"));
    // A folder in the way is an error, never removed.
    fs::create_directories(folder / "e/meta.json/inside");
    REQUIRE_THROWS_AS(prepare_lines(folder / "e", true), IoError);
    CHECK(fs::exists(folder / "e/meta.json/inside"));
}

TEST_CASE("options of prepare that contradict each other are refused", "[data]") {
    const TempFolder folder;
    PrepareOptions options;
    options.out = (folder / "d").string();
    const PrepareSources sources{{text_of("a", std::string(100, 'a'))}, {}, {}};
    options.val_fraction = 0.6, options.test_fraction = 0.4;
    REQUIRE_THROWS_WITH(prepare_token_files(sources, options),
                        contains_text("nothing to train on"));
    options.val_fraction = 0.1, options.test_fraction = -0.1;
    REQUIRE_THROWS_AS(prepare_token_files(sources, options), UsageError);
    options.test_fraction = 0.001;
    REQUIRE_THROWS_WITH(prepare_token_files({{text_of("a", "ab")}, {}, {}}, options),
                        contains_text("too few"));
    PrepareSources both = sources;
    both.test = {text_of("t", "test")}, options.test_fraction = 0.1;
    REQUIRE_THROWS_WITH(prepare_token_files(both, options), contains_text("leave one out"));
    CHECK_FALSE(fs::exists(folder / "d"));
}

TEST_CASE("plumb data prepare: several files, a separator, own validation text", "[data]") {
    const TempFolder folder;
    spill(folder / "a.txt", std::string(100, 'a'));
    spill(folder / "b.txt", std::string(100, 'b') + "\r\n");
    spill(folder / "v.txt", std::string(50, 'v'));
    const std::string a = folder / "a.txt", b = folder / "b.txt", v = folder / "v.txt";
    const test::Outcome o = test::run_plumb(
        {"data", "prepare", a, b, "--val", v, "--separator", "\\n--\\n", "--out", folder / "d"});
    CHECK(o.code == 0);
    CHECK_THAT(o.out, contains_text("\"\\n--\\n\" between two texts") &&
                          contains_text("1 lines ended in CR LF") &&
                          contains_text("next: plumb train data.path=") &&
                          contains_text("train.bin, val.bin, meta.json"));
    std::string text;
    for (const char c : slurp(folder / "d/train.bin"))
        if (c != '\0') text += c;
    CHECK(text == std::string(100, 'a') + "\n--\n" + std::string(100, 'b') + "\n");
    const test::Outcome twice = test::run_plumb(
        {"data", "prepare", a, "--val", v, "--val-fraction", "0.2", "--out", folder / "d"});
    CHECK(twice.code == 2);
}
