// Token files of every format, and files that change while they are read.
#include "data/token_bin.h"

#include "catch.h"
#include "core/check.h"
#include "core/sha256.h"
#include "data/dataset.h"
#include "data/token_meta.h"
#include "support/run_program.h"

using namespace plumb;
using test::slurp;
using test::spill;
namespace fs = std::filesystem;

namespace {

template <class T>
std::string bytes_of(const std::vector<T>& numbers) {
    return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

// n tokens that go round through 0 .. vocab - 1 in steps of 7.
template <class T>
std::vector<T> tokens(int n, int vocab) {
    std::vector<T> list;
    for (int i = 0; i < n; ++i) list.push_back(static_cast<T>(7 * i % vocab));
    return list;
}

std::string llmc_header(std::int32_t magic, std::int32_t version, std::int32_t n) {
    std::vector<std::int32_t> header(256);
    header[0] = magic, header[1] = version, header[2] = n;
    return bytes_of(header);
}

std::vector<std::int32_t> all_of(const TokenBin& file) {
    std::vector<std::int32_t> list(static_cast<std::size_t>(file.size()));
    file.read(0, list);
    return list;
}

// A folder with the same bytes as train.bin and val.bin.
struct Folder {
    TempFolder temp;
    explicit Folder(const std::string& bytes) {
        spill(temp / "train.bin", bytes);
        spill(temp / "val.bin", bytes);
    }
    std::unique_ptr<Dataset> open(const std::string& dtype = "auto", long vocab = 0,
                                  EvalSplit split = EvalSplit::val) const {
        DataConfig config;
        config.path = temp.path().string(), config.dtype = dtype, config.vocab = vocab;
        return open_dataset(config, 16, split);
    }
};

// Moves the time of last change on, as a write of another process does.
void touch(const fs::path& file) {
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(5));
}

}  // namespace

TEST_CASE("bare and llm.c files of both widths give the same tokens", "[data]") {
    const auto want = tokens<std::int32_t>(30'000, 200);
    const std::string narrow = bytes_of(tokens<std::uint16_t>(30'000, 200));
    const std::string wide = bytes_of(tokens<std::uint32_t>(30'000, 200));
    struct Case {
        std::string bytes;
        const char *type, *format;
    };
    const TempFolder folder;
    for (const Case& c :
         {Case{narrow, "auto", "uint16"}, Case{narrow, "uint16", "uint16"},
          Case{wide, "uint32", "uint32"},
          Case{llmc_header(20240520, 1, 30'000) + narrow, "auto", "uint16 after llm.c's header"},
          Case{llmc_header(20240801, 7, 30'000) + wide, "auto", "uint32 after llm.c's header"}}) {
        INFO(c.format);
        spill(folder / "t.bin", c.bytes);
        const TokenBin file(folder / "t.bin", c.type);
        CHECK(file.format() == c.format);
        CHECK(file.size() == 30'000);
        CHECK(file.largest() == 199);
        CHECK(all_of(file) == want);
        std::vector<std::int32_t> some(5000);
        file.read(12'345, some);
        CHECK(std::equal(some.begin(), some.end(), want.begin() + 12'345));
        CHECK(file.sha256() == sha256_hex(c.bytes));
    }
}

TEST_CASE("uint32 tokens are not taken for uint16", "[data]") {
    for (const int vocab : {200, 50'257, 128'256}) {
        const Folder folder(bytes_of(tokens<std::uint32_t>(300'000, vocab)));
        CHECK_THROWS_AS(folder.open(), IoError);
        CHECK_THROWS_WITH(folder.open(), contains_text("train.bin looks like uint32") &&
                                             contains_text("data.dtype=uint32") &&
                                             contains_text("data.dtype=uint16"));
        CHECK(folder.open("uint32")->vocab() == vocab);
    }
    // Small and alternating vocabularies of uint16 are not suspected, or can be insisted on.
    CHECK(Folder(bytes_of(tokens<std::uint16_t>(3000, 4))).open()->vocab() == 4);
    CHECK(Folder(bytes_of(tokens<std::uint16_t>(3000, 50'257))).open()->vocab() <= 50'257);
    std::vector<std::uint16_t> alternating = tokens<std::uint16_t>(3000, 90);
    for (std::size_t i = 1; i < alternating.size(); i += 2) alternating[i] = 0;
    CHECK_THROWS_AS(Folder(bytes_of(alternating)).open(), IoError);
    CHECK(Folder(bytes_of(alternating)).open("uint16")->vocab() == 89);
    // uint16 read as uint32 is no vocabulary.
    CHECK_THROWS_WITH(Folder(bytes_of(tokens<std::uint16_t>(3000, 90))).open("uint32"),
                      contains_text("data.dtype"));
}

TEST_CASE("llm.c files that are cut short or contradicted are refused", "[data]") {
    const std::string narrow = bytes_of(tokens<std::uint16_t>(3000, 90));
    const std::string header = llmc_header(20240520, 1, 3000);
    CHECK(Folder(header + narrow).open()->vocab() == 90);
    CHECK_THROWS_WITH(Folder(header + narrow.substr(2)).open(), contains_text("header says 3000"));
    CHECK_THROWS_WITH(Folder(header + narrow.substr(1)).open(), contains_text("whole uint16"));
    CHECK_THROWS_WITH(Folder(header + narrow).open("uint32"), contains_text("data.dtype=uint32"));
    CHECK_THROWS_AS(Folder(header).open(), IoError);
    CHECK_THROWS_AS(Folder("").open(), IoError);
}

TEST_CASE("the vocabulary can be given, and is that of meta.pkl where there is one", "[data]") {
    const Folder folder(bytes_of(tokens<std::uint16_t>(3000, 90)));
    CHECK(folder.open("auto", 128)->vocab() == 128);
    CHECK_THROWS_AS(folder.open("auto", 89), UsageError);
    CHECK_THROWS_WITH(folder.open("auto", 89), contains_text("data.vocab=90"));
    // nanoGPT's meta.pkl of six characters: a vocabulary, a tokenizer and bits per byte.
    std::string characters = "(";
    for (int i = 0; i < 6; ++i)
        characters += std::string("K") + static_cast<char>(i) +
                      (i < 5 ? std::string("\x8c\x01") + static_cast<char>('a' + i)
                             : std::string("\x8c\x02\xc2\xa3"));
    const std::string begin = "\x80\x04}(\x8c\nvocab_sizeK";
    const Folder text(bytes_of(tokens<std::uint16_t>(3000, 6)));
    spill(text.temp / "meta.pkl", begin + "\x06\x8c\x04itos}" + characters + "uu.");
    const auto data = text.open();
    CHECK(data->vocab() == 6);
    CHECK(data->encode("a\xc2\xa3") == std::vector<std::int32_t>{0, 5});
    CHECK(data->decode(std::vector<std::int32_t>{1, 5, 0}) ==
          "b\xc2\xa3"
          "a");
    CHECK(std::abs(data->bytes_per_token() - 7.0 / 6) <= 1e-12);  // one of six has two bytes
    CHECK(data->fingerprint().size() == 64);
    // What a run keeps of it is enough to read and write text.
    for (const auto& [name, content] : data->meta_files()) spill(text.temp / name, content);
    const auto kept = read_token_meta(text.temp.path());
    REQUIRE(kept);
    CHECK(kept->tokenizer.definition() == "abcde\xc2\xa3");
    CHECK(kept->bytes == 7000);
    CHECK(kept->train.sha256 == sha256_hex(slurp(text.temp / "train.bin")));
    fs::remove(text.temp / "meta.json");
    const auto padded = text.open("auto", 8);
    CHECK(padded->vocab() == 8);
    CHECK(padded->decode(std::vector<std::int32_t>{0, 7}) == "a\xef\xbf\xbd");
    // Without characters: the vocabulary alone.
    spill(text.temp / "meta.pkl", begin + "\x07u.");
    CHECK(text.open()->vocab() == 7);
    CHECK(text.open()->bytes_per_token() == 0);
    CHECK_THROWS_WITH(text.open("auto", 6), contains_text("meta.pkl"));
}

TEST_CASE("a file that changes while it is in use is an error, not a signal", "[data]") {
    const TempFolder folder;
    const fs::path path = folder / "t.bin";
    const std::string bytes = bytes_of(tokens<std::uint16_t>(30'000, 90));
    spill(path, bytes);
    TokenBin file(path, "auto");
    file.limit(90);
    std::vector<std::int32_t> some(100);
    file.read(20'000, some);
    SECTION("cut short") {
        fs::resize_file(path, 1000);
        CHECK_THROWS_AS(file.read(20'000, some), IoError);
        CHECK_THROWS_WITH(file.read(20'000, some),
                          contains_text("t.bin changed while it was in use"));
        CHECK_THROWS_AS(file.read(0, some), IoError);  // where there is still something, too
    }
    SECTION("longer") {
        spill(path, bytes + bytes);
        CHECK_THROWS_AS(file.read(0, some), IoError);
    }
    SECTION("other tokens, seen by the time and the content") {
        file.sha256();
        spill(path, bytes_of(tokens<std::uint16_t>(30'000, 80)));
        touch(path);
        CHECK_THROWS_WITH(file.read(0, some), contains_text("written to"));
    }
    SECTION("a token outside the vocabulary, whatever the time says") {
        const auto time = fs::last_write_time(path);
        std::string damaged = bytes;
        damaged[40'050] = '\xff';
        spill(path, damaged);
        fs::last_write_time(path, time);
        CHECK_THROWS_WITH(file.read(20'000, some), contains_text("outside the vocabulary of 90"));
    }
    SECTION("touched, but the same content") {
        file.sha256();
        touch(path);
        CHECK_NOTHROW(file.read(0, some));
    }
    SECTION("replaced by another file of this name: the open one is still whole") {
        spill(folder / "other", "x");
        fs::rename(folder / "other", path);
        CHECK_NOTHROW(file.read(0, some));
    }
}

TEST_CASE("training ends with an I/O error when its tokens shrink or change", "[data][run]") {
    for (const bool shrink : {true, false}) {
        const Folder folder(bytes_of(tokens<std::uint16_t>(300'000, 90)));
        const fs::path out = folder.temp / "run", train = folder.temp / "train.bin";
        test::Launch launch;
        launch.meanwhile = [&](pid_t) {
            for (int i = 0; i < 3000 && slurp(out / "metrics.jsonl").empty(); ++i)
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            if (shrink)
                fs::resize_file(train, 100);
            else
                spill(train, bytes_of(std::vector<std::uint16_t>(300'000, 60'000)));
        };
        const auto o =
            test::run_plumb({"train", "data.path=" + folder.temp.path().string(), "model.layers=1",
                             "model.width=16", "model.heads=2", "model.context=16", "train.batch=2",
                             "train.steps=100000000", "train.log_every=1",
                             "train.eval_every=100000000", "--threads", "1", "--out", out.string()},
                            launch);
        CHECK(o.code == 4);
        CHECK_THAT(o.out, contains_text("train.bin"));
    }
}

TEST_CASE("the test split is scored when it is asked for", "[data]") {
    const Folder folder(bytes_of(tokens<std::uint16_t>(3000, 90)));
    CHECK_THROWS_AS(folder.open("auto", 0, EvalSplit::test), UsageError);
    CHECK_THROWS_WITH(folder.open("auto", 0, EvalSplit::test), contains_text("--test-fraction"));
    spill(folder.temp / "test.bin", bytes_of(std::vector<std::uint16_t>(40, 5)));
    const auto data = folder.open("auto", 0, EvalSplit::test);
    CHECK(data->val_sequences() == 3);
    std::vector<std::int32_t> in(16), out(16);
    data->val_batch(0, {in.data(), {{'B', 1}, {'T', 16}}}, {out.data(), {{'B', 1}, {'T', 16}}});
    CHECK(in == std::vector<std::int32_t>(16, 5));
    CHECK(data->fingerprint() == folder.open()->fingerprint());  // of what was trained on
    spill(folder.temp / "test.bin", bytes_of(std::vector<std::uint16_t>(40, 99)));
    CHECK_THROWS_WITH(folder.open("auto", 0, EvalSplit::test), contains_text("test.bin"));
}
