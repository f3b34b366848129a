#include "data/dataset.h"

#include "catch.h"
#include "core/files.h"
#include "data/prepare.h"
#include "data/token_files.h"
#include "support/temp_folder.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <set>

using namespace plumb;
namespace fs = std::filesystem;

namespace {

struct Batch {
    Index n_rows, width;
    std::vector<std::int32_t> tokens, targets;

    Batch(Index rows, Index context) : n_rows(rows), width(context) {
        tokens.assign(static_cast<std::size_t>(rows * context), -7);
        targets = tokens;
    }
    static View<std::int32_t> view(std::vector<std::int32_t>& v, Index rows, Index context) {
        return {v.data(), {{'B', rows}, {'T', context}}};
    }
    Batch& train(const Dataset& data, std::uint64_t seed, std::uint64_t index) {
        data.train_batch(seed, index, view(tokens, n_rows, width), view(targets, n_rows, width));
        return *this;
    }
    Batch& val(const Dataset& data, std::uint64_t index) {
        data.val_batch(index, view(tokens, n_rows, width), view(targets, n_rows, width));
        return *this;
    }
    bool operator==(const Batch& o) const { return tokens == o.tokens && targets == o.targets; }
};

void write_tokens(const fs::path& file, const std::vector<std::uint16_t>& tokens) {
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(tokens.data()),
               static_cast<std::streamsize>(2 * tokens.size()));
}

std::vector<std::uint16_t> counting(int from, int n) {
    std::vector<std::uint16_t> list;
    for (int i = 0; i < n; ++i) list.push_back(static_cast<std::uint16_t>(from + i));
    return list;
}

// nanoGPT style; token i of train.bin is i, of val.bin 5000 + i, so a token tells where it is from.
struct CountingFolder {
    TempFolder folder;
    CountingFolder(int n_train = 1000, int n_val = 101) {
        write_tokens(folder.path() / "train.bin", counting(0, n_train));
        write_tokens(folder.path() / "val.bin", counting(5000, n_val));
    }
    std::unique_ptr<Dataset> open(Index context) const {
        DataConfig config;
        config.path = folder.path().string();
        return open_dataset(config, context);
    }
};

// A folder of our own with meta.json, ready to be damaged.
void prepare_into(const fs::path& out, const std::string& tokenizer = "char") {
    std::string text;
    for (int i = 0; i < 200; ++i) text += fmt::format("row {} ", i);
    PrepareOptions options;
    options.out = out.string(), options.tokenizer = tokenizer;
    prepare_token_files({{{"rows.txt", text, ""}}, {}, {}}, options);
}

std::unique_ptr<Dataset> open_path(const fs::path& path, Index context) {
    DataConfig config;
    config.path = path.string();
    return open_dataset(config, context);
}

}  // namespace

TEST_CASE(
    "train batches are contiguous windows, targets the next tokens, a function of the index") {
    const CountingFolder files;
    const auto data = files.open(16);
    Batch batch(4, 16), again(4, 16);
    std::set<std::int32_t> starts;
    for (std::uint64_t index = 0; index < 50; ++index) {
        batch.train(*data, 3, index);
        for (Index b = 0; b < 4; ++b) {
            const std::int32_t* x = batch.tokens.data() + b * 16;
            const std::int32_t* y = batch.targets.data() + b * 16;
            starts.insert(x[0]);
            for (int t = 0; t < 16; ++t) {
                REQUIRE(x[t] == x[0] + t);
                REQUIRE(y[t] == x[t] + 1);
                REQUIRE(y[t] < 1000);  // never past the end, never from val.bin
            }
        }
    }
    CHECK(starts.size() > 150);  // 200 draws of 984 windows: about 180 differ
    CHECK(batch == again.train(*data, 3, 49));
    CHECK(!(batch == again.train(*data, 4, 49)));
    CHECK(!(batch == again.train(*data, 3, 48)));
}

TEST_CASE("every training window can occur, the first and the last included") {
    const CountingFolder files(20, 20);
    const auto data = files.open(16);
    std::set<std::int32_t> starts;
    Batch batch(1, 16);
    for (std::uint64_t index = 0; index < 200; ++index)
        starts.insert(batch.train(*data, 1, index).tokens[0]);
    CHECK(starts == std::set<std::int32_t>{0, 1, 2, 3});
}

TEST_CASE("two micro-batches of 4 are one of 8") {
    const CountingFolder files;
    const auto data = files.open(16);
    Batch whole(8, 16), half(4, 16);
    whole.train(*data, 5, 3);
    half.train(*data, 5, 6);
    CHECK(std::equal(half.tokens.begin(), half.tokens.end(), whole.tokens.begin()));
    half.train(*data, 5, 7);
    CHECK(std::equal(half.tokens.begin(), half.tokens.end(), whole.tokens.begin() + 64));
}

TEST_CASE("validation windows are disjoint, in range, evenly spread, and use every window") {
    const CountingFolder files;  // 101 tokens: ten windows of 10
    const auto data = files.open(10);
    Batch batch(1, 10);
    std::set<std::int32_t> scored;
    for (std::uint64_t index = 0; index < 10; ++index) {
        batch.val(*data, index);
        for (std::size_t t = 0; t < 10; ++t) {
            CHECK(batch.targets[t] == batch.tokens[t] + 1);
            CHECK((batch.targets[t] > 5000 && batch.targets[t] <= 5100));
            CHECK(scored.insert(batch.targets[t]).second);
        }
    }
    CHECK(scored.size() == 100);
    CHECK(data->val_sequences() == 10);

    // Any 8 of 1000 windows leave no gap of more than a quarter of the file.
    std::set<Index> starts{0, 10000};
    for (std::uint64_t n = 0; n < 8; ++n) starts.insert(val_window(n, 10001, 10));
    Index gap = 0, last = 0;
    for (const Index s : starts) gap = std::max(gap, s - last), last = s;
    CHECK(gap <= 2500);
}

TEST_CASE("the validation sequences score every token but the first once, the short end too") {
    for (const int n_val : {12, 17, 100, 101, 109, 110, 111}) {
        const CountingFolder files(1000, n_val);
        const auto data = files.open(10);
        std::multiset<std::int32_t> scored;
        for (Index s = 0; s < data->val_sequences(); ++s) {
            const Batch batch = Batch(1, 10).val(*data, static_cast<std::uint64_t>(s));
            for (std::size_t t = 0; t < 10; ++t) {
                if (batch.targets[t] < 0) continue;
                CHECK(batch.targets[t] == batch.tokens[t] + 1);
                scored.insert(batch.targets[t]);
            }
        }
        std::multiset<std::int32_t> all;
        for (int i = 1; i < n_val; ++i) all.insert(5000 + i);
        CHECK(scored == all);
    }
}

TEST_CASE("val_window visits every window once, whatever their number") {
    for (Index n_windows = 1; n_windows <= 60; ++n_windows) {
        std::set<Index> seen;
        for (Index i = 0; i < n_windows; ++i) {
            const Index start = val_window(static_cast<std::uint64_t>(i), n_windows * 7 + 3, 7);
            CHECK((start % 7 == 0 && start + 7 + 1 <= n_windows * 7 + 3));
            seen.insert(start);
        }
        CHECK(static_cast<Index>(seen.size()) == n_windows);
    }
}

TEST_CASE("a nanoGPT folder opens without meta.json and says what is missing") {
    const CountingFolder files;
    const auto data = files.open(16);
    CHECK(data->vocab() == 5101);
    CHECK(data->bytes_per_token() == 0);
    CHECK(!data->optimal_loss());
    CHECK_THAT(data->describe(), contains_text("no meta.json") && contains_text("5101"));
    CHECK(data->decode(std::vector<std::int32_t>{3, 40, 5}) == "3 40 5");
    CHECK(data->encode(" 3 40\n5 ") == std::vector<std::int32_t>{3, 40, 5});
    REQUIRE_THROWS_AS(data->encode("3 x"), UsageError);
    REQUIRE_THROWS_AS(data->encode("-1"), UsageError);
    REQUIRE_THROWS_AS(data->encode("5101"), UsageError);
    CHECK(data->encode("").empty());
}

TEST_CASE("a prepared folder encodes, decodes and has a fingerprint of its content") {
    const TempFolder a, b, c;
    prepare_into(a.path()), prepare_into(b.path()), prepare_into(c.path(), "byte");
    const auto data = open_path(a.path(), 32);
    CHECK(data->vocab() == 14);  // ' ', 0-9, o, r, w
    CHECK(data->bytes_per_token() == 1);
    CHECK(data->decode(data->encode("row 12")) == "row 12");
    CHECK(data->fingerprint().size() == 64);
    CHECK(data->fingerprint() == open_path(b.path(), 16)->fingerprint());
    CHECK(data->fingerprint() != open_path(c.path(), 32)->fingerprint());
    CHECK_THAT(data->describe(), contains_text("rows") && contains_text("char"));
}

TEST_CASE("another alphabet of equal size is another tokenizer") {
    const TempFolder folder;
    PrepareOptions options;
    options.tokenizer = "char";
    const auto open_text = [&](const std::string& name, const std::string& text) {
        options.out = (folder / name).string();
        prepare_token_files({{{"t", text, ""}}, {}, {}}, options);
        return open_path(folder / name, 4);
    };
    const auto abc = open_text("a", "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc");
    const auto more = open_text("b", "cbacbacbacbacbaacbacbacbacbacbacbacbcbacbacbacbaabcb");
    const auto xyz = open_text("c", "xyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyz");
    REQUIRE(abc->vocab() == xyz->vocab());
    CHECK_NOTHROW(check_same_tokenizer(*more, abc->tokenizer(), "runs/a"));
    CHECK_THROWS_AS(check_same_tokenizer(*xyz, abc->tokenizer(), "runs/a"), UsageError);
    CHECK_THROWS_WITH(check_same_tokenizer(*xyz, abc->tokenizer(), "runs/a"),
                      contains_text("runs/a was trained with another tokenizer (char, 3"));
    CHECK_THROWS_AS(check_same_tokenizer(*xyz, std::nullopt, "runs/a"), UsageError);
    CHECK_THROWS_AS(check_same_tokenizer(*xyz, Tokenizer::bytes(), "runs/a"), UsageError);
    DataConfig task;
    task.task = "copy";
    CHECK_NOTHROW(check_same_tokenizer(*open_dataset(task, 8), std::nullopt, "runs/a"));
    CHECK_THROWS_AS(check_same_tokenizer(*open_dataset(task, 8), Tokenizer::bytes(), "r"),
                    UsageError);
    task.vocab = 5;
    CHECK_THROWS_WITH(open_dataset(task, 8), contains_text("data.vocab does not apply"));
}

TEST_CASE("damaged folders are refused with the file's name") {
    const TempFolder folder;
    const fs::path path = folder.path();
    REQUIRE_THROWS_AS(open_path(path / "none", 8), IoError);
    REQUIRE_THROWS_WITH(open_path(path / "none", 8), contains_text("plumb data prepare"));
    prepare_into(path);
    REQUIRE_THROWS_AS(open_path(path, 5000), UsageError);  // longer than the corpus
    REQUIRE_THROWS_WITH(open_path(path, 5000), contains_text("model.context=5000"));

    SECTION("odd size") {
        std::ofstream(path / "val.bin", std::ios::app) << 'x';
        REQUIRE_THROWS_WITH(open_path(path, 8),
                            contains_text("val.bin") && contains_text("cut short"));
    }
    SECTION("truncated") {
        fs::resize_file(path / "train.bin", 100);
        REQUIRE_THROWS_AS(open_path(path, 8), IoError);
        REQUIRE_THROWS_WITH(open_path(path, 8),
                            contains_text("train.bin") && contains_text("truncated"));
    }
    SECTION("empty") {
        fs::resize_file(path / "val.bin", 0);
        REQUIRE_THROWS_WITH(open_path(path, 8), contains_text("val.bin") && contains_text("empty"));
    }
    SECTION("missing") {
        fs::remove(path / "train.bin");
        REQUIRE_THROWS_WITH(open_path(path, 8), contains_text("train.bin"));
    }
    SECTION("a token outside the vocabulary") {
        std::vector<std::uint16_t> tokens(fs::file_size(path / "train.bin") / 2, 13);
        tokens[50] = 14;
        write_tokens(path / "train.bin", tokens);
        REQUIRE_THROWS_AS(open_path(path, 8), IoError);
        REQUIRE_THROWS_WITH(open_path(path, 8), contains_text("token 14"));
    }
    SECTION("other content of the same size") {
        write_tokens(path / "train.bin",
                     std::vector<std::uint16_t>(fs::file_size(path / "train.bin") / 2, 13));
        REQUIRE_THROWS_AS(open_path(path, 8)->fingerprint(), IoError);
    }
    SECTION("values that make no sense in meta.json") {
        const std::string good = read_file(path / "meta.json");
        CHECK_NOTHROW(open_path(path, 8));
        const auto refused = [&](const char* key, const nlohmann::ordered_json& value) {
            auto j = nlohmann::ordered_json::parse(good);
            j[key] = value;
            write_file(path / "meta.json", j.dump());
            INFO(key << " = " << value.dump());
            CHECK_THROWS_AS(open_path(path, 8), IoError);
            CHECK_THROWS_WITH(open_path(path, 8), contains_text("meta.json") && contains_text(key));
        };
        for (const auto& bad : {nlohmann::ordered_json(-5), nlohmann::ordered_json(0.5),
                                nlohmann::ordered_json(4.5), nlohmann::ordered_json("1"),
                                nlohmann::ordered_json(nullptr), nlohmann::ordered_json(1e300)})
            refused("bytes_per_token", bad);
        for (const char* key : {"train_tokens", "val_tokens", "bytes", "vocab"})
            for (const auto& bad : {nlohmann::ordered_json(-1), nlohmann::ordered_json(2.5),
                                    nlohmann::ordered_json(1e18), nlohmann::ordered_json(),
                                    nlohmann::ordered_json("many")})
                if (std::string(key) != "bytes" || bad != 1e18) refused(key, bad);
        refused("chars", "ba");
        refused("tokenizer", "bpe");
        refused("dtype", "float");
        refused("sha256", {{"text", "abc"}});
        refused("name", 5);
    }
    SECTION("meta.json of something else") {
        std::ofstream(path / "meta.json") << "{\"schema\": 9}";
        REQUIRE_THROWS_AS(open_path(path, 8), IoError);
        REQUIRE_THROWS_WITH(open_path(path, 8), contains_text("meta.json"));
    }
}

TEST_CASE("a split of exactly context + 1 tokens works, one token less does not") {
    const CountingFolder files(17, 17);
    CHECK(Batch(1, 16).train(*files.open(16), 1, 0).tokens[0] == 0);
    CHECK(Batch(1, 16).val(*files.open(16), 0).targets[15] == 5016);
    REQUIRE_THROWS_AS(files.open(17), UsageError);
}

TEST_CASE("exactly one of data.path and data.task") {
    DataConfig config;
    REQUIRE_THROWS_WITH(open_dataset(config, 8), contains_text("neither"));
    config.path = "x", config.task = "copy";
    REQUIRE_THROWS_WITH(open_dataset(config, 8), contains_text("both"));
    config.task = "", config.options.set("task_hops", 3L);
    REQUIRE_THROWS_WITH(open_dataset(config, 8), contains_text("data.task_hops=3"));
}
