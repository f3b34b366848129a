#include "data/corpora.h"

#include "catch.h"
#include "core/check.h"
#include "core/text.h"
#include "data/prepare.h"
#include "data/r_data.h"
#include "data/token_bin.h"
#include "support/hex.h"
#include "support/run_program.h"

#include <zlib.h>

using namespace plumb;
using test::big_endian;
using test::slurp;
using test::spill;
namespace fs = std::filesystem;

namespace {

// One object of an .rdb, written from the format's description.
std::string r_object(const std::vector<std::string>& lines) {
    std::string object = "X\n" + big_endian(3) + big_endian(0x00040201) + big_endian(0x00030500) +
                         big_endian(5) + "UTF-8" + big_endian(16) +
                         big_endian(static_cast<std::uint32_t>(lines.size()));
    for (const std::string& line : lines)
        object +=
            big_endian(0x00040009) + big_endian(static_cast<std::uint32_t>(line.size())) + line;
    uLongf size = compressBound(object.size());
    std::string packed(size, '\0');
    compress(reinterpret_cast<Bytef*>(packed.data()), &size,
             reinterpret_cast<const Bytef*>(object.data()), object.size());
    return big_endian(static_cast<std::uint32_t>(object.size())) + packed.substr(0, size);
}

PrepareOptions options_for(const fs::path& out, const std::string& tokenizer = "byte") {
    PrepareOptions options;
    options.out = out.string();
    options.tokenizer = tokenizer;
    return options;
}

}  // namespace

TEST_CASE("an R lazy-load database gives its lines, object by object") {
    const std::vector<std::string> first{"EMMA", "", "By Jane Austen"}, second{
                                                                            "\xc2\xa3"
                                                                            "5",
                                                                            ""};
    const std::string rdb = r_object(first) + r_object(second);
    const auto objects = read_r_lines(rdb, "test.rdb");
    REQUIRE(objects.size() == 2);
    CHECK(objects[0] == first);
    CHECK(objects[1] == second);
    REQUIRE_THROWS_AS(read_r_lines(rdb.substr(0, rdb.size() - 3), "test.rdb"), IoError);
    REQUIRE_THROWS_AS(read_r_lines("nonsense that is not zlib", "test.rdb"), IoError);
    REQUIRE_THROWS_WITH(read_r_lines("abc", "test.rdb"), contains_text("test.rdb"));
}

TEST_CASE("the split is contiguous, at the end, and never inside a character") {
    CHECK(split_point(std::string(1000, 'a'), 0.1) == 900);
    CHECK(split_point(std::string(1115394, 'a'), 0.1) == 1003854);  // nanoGPT's tiny Shakespeare
    const std::string pounds = "aaaaaaaa\xc2\xa3";
    CHECK(split_point(pounds, 0.1) == pounds.size());  // 9 is inside the character
    CHECK(split_point(pounds, 0.2) == 8);
}

TEST_CASE("preparing loses nothing, leaks nothing and is read back") {
    const TempFolder folder;
    std::string text;
    for (int i = 0; i < 500; ++i) text += fmt::format("line {} \xc2\xa3\n", i);
    const std::string tokenizer = GENERATE("byte", "char");
    const fs::path out = folder.path() / "sub" / "folder";
    const Prepared made =
        prepare_token_files({{{"t.txt", text, ""}}, {}, {}}, options_for(out, tokenizer));
    const auto meta = read_token_meta(out);
    REQUIRE(meta);
    CHECK(meta->name == "t");
    CHECK(meta->same_content(made.meta));
    CHECK(meta->bytes == static_cast<std::int64_t>(text.size()));

    const TokenBin train(out / "train.bin", "uint16"), val(out / "val.bin", "uint16");
    const auto decode = [&](const TokenBin& file) {
        std::vector<std::int32_t> tokens(static_cast<std::size_t>(file.size()));
        file.read(0, tokens);
        return meta->tokenizer.decode(tokens);
    };
    const std::string train_text = decode(train), val_text = decode(val);
    CHECK(train_text + val_text == text);
    CHECK(val_text.size() == text.size() - split_point(text, 0.1));
    CHECK(meta->train.tokens == train.size());
    CHECK(train.sha256() == meta->train.sha256);
    CHECK(val.sha256() == meta->val.sha256);
    const double ratio =
        static_cast<double>(val_text.size()) / static_cast<double>(meta->val.tokens);
    CHECK(std::abs(meta->val.bytes_per_token - ratio) <= 1e-12);
    CHECK((tokenizer == "char") == (ratio > 1.01));
    CHECK(val_text.starts_with(made.sample.substr(0, 100)));
    for (const auto& entry : fs::directory_iterator(out)) CHECK(entry.path().extension() != ".tmp");
}

TEST_CASE("unigram entropy of a known text") {
    const TempFolder folder;
    PrepareOptions options = options_for(folder.path());
    options.val_fraction = 0.5;
    const Prepared made = prepare_token_files({{{"t", "xxxxabab", ""}}, {}, {}}, options);
    CHECK(std::abs(made.unigram_entropy - std::log(2.0)) <= 1e-15);
}

TEST_CASE("preparing again: same content is left alone, other content needs --force") {
    const TempFolder folder;
    const SourceText old_text{"old", std::string(100, 'a') + "b", ""};
    const SourceText new_text{"new", std::string(100, 'c') + "d", ""};
    PrepareOptions options = options_for(folder.path());
    CHECK(!prepare_token_files({{old_text}, {}, {}}, options).unchanged);
    CHECK(prepare_token_files({{old_text}, {}, {}}, options).unchanged);
    REQUIRE_THROWS_AS(prepare_token_files({{new_text}, {}, {}}, options), UsageError);
    REQUIRE_THROWS_WITH(prepare_token_files({{new_text}, {}, {}}, options),
                        contains_text("--force"));
    CHECK(read_token_meta(folder.path())->name == "old");
    options.force = true;
    CHECK(!prepare_token_files({{new_text}, {}, {}}, options).unchanged);
    CHECK(read_token_meta(folder.path())->name == "new");

    // A damaged file is other content, not "unchanged".
    std::string bin = slurp(folder.path() / "train.bin");
    bin[0] = 'z';
    spill(folder.path() / "train.bin", bin);
    options.force = false;
    REQUIRE_THROWS_AS(prepare_token_files({{new_text}, {}, {}}, options), UsageError);
}

TEST_CASE("preparation errors name the cause and the way out") {
    const TempFolder folder;
    const PrepareOptions chars = options_for(folder.path() / "x", "char");
    REQUIRE_THROWS_WITH(
        prepare_token_files({{{"good.txt", "abc", ""}, {"bad.txt", "ab\xff", ""}}, {}, {}}, chars),
        contains_text("bad.txt") && contains_text("offset 2") && contains_text("--tokenizer byte"));
    REQUIRE_THROWS_AS(prepare_token_files({{{"one", "x", ""}}, {}, {}}, chars), UsageError);
    PrepareOptions fraction = options_for(folder.path() / "x");
    for (const double bad : {0.0, 1.0, -0.1, std::nan("")}) {
        fraction.val_fraction = bad;
        REQUIRE_THROWS_AS(prepare_token_files({{{"t", "some text", ""}}, {}, {}}, fraction),
                          UsageError);
    }
    REQUIRE_THROWS_AS(
        prepare_token_files({{{"t", "some text ..", ""}}, {}, {}}, options_for("/proc/none/x")),
        IoError);
    CHECK(!fs::exists(folder.path() / "x"));
}

TEST_CASE("sources: files are read whole, wrong names are answered with the right ones") {
    const TempFolder folder;
    const std::string bytes("with\0nul\r\n", 10);
    spill(folder.path() / "t.txt", bytes);
    spill(folder.path() / "empty.txt", "");
    CHECK(load_source((folder.path() / "t.txt").string()).text == bytes);
    REQUIRE_THROWS_AS(load_source((folder.path() / "empty.txt").string()), UsageError);
    REQUIRE_THROWS_AS(load_source(folder.path().string()), UsageError);
    REQUIRE_THROWS_AS(load_source("austn"), IoError);
    REQUIRE_THROWS_WITH(load_source("austn"), contains_text("austen") && contains_text("kjv"));
    for (const CorpusInfo& info : corpora()) CHECK(info.sha256.size() == 64);
}

TEST_CASE("a package in ./.cache that nobody vouches for is left alone") {
    if (fs::exists("/usr/lib/bible.data")) return;  // installed: .cache is not looked at
    const TempFolder folder;
    fs::create_directories(folder / ".cache");
    spill(folder / ".cache/bible-kjv-text_9_all.deb", "!<arch>\n");
    const fs::path said = folder / "said";
    // Without a PATH nothing can be fetched.
    const int status =
        std::system(fmt::format("cd {0} && PATH=/none {1} data prepare kjv --out d >{2} 2>&1",
                                shell_quoted(folder.path().string()),
                                shell_quoted(test::program_path()), shell_quoted(said.string()))
                        .c_str());
    CHECK(WEXITSTATUS(status) == 4);
    CHECK_THAT(slurp(said), contains_text("bible-kjv-text_9_all.deb was left alone") &&
                                contains_text(sha256_hex("!<arch>\n")));
}
