// Folders of tokens whose vocabulary is learnt, given, or larger than 16 bits.
#include "catch.h"
#include "core/check.h"
#include "core/utf8.h"
#include "data/dataset.h"
#include "data/prepare.h"
#include "data/token_bin.h"
#include "run/run_text.h"
#include "run/warnings.h"
#include "support/run_program.h"

#include <cmath>

using namespace plumb;
using test::slurp;
using test::spill;
namespace fs = std::filesystem;

namespace {

std::string rhyme(const std::string& word, int n = 120) {
    std::string text;
    for (int i = 0; i < n; ++i) text += fmt::format("the {} and the mat {}\n", word, i % 7);
    return text;
}

TokenMeta prepare(const fs::path& out, const std::string& tokenizer, const std::string& text,
                  bool force = false) {
    PrepareOptions options;
    options.out = out.string(), options.tokenizer = tokenizer, options.force = force;
    options.test_fraction = 0.1;
    return prepare_token_files({{{"t.txt", text, ""}}, {}, {}}, options).meta;
}

std::unique_ptr<Dataset> open_split(const fs::path& folder, EvalSplit split = EvalSplit::val) {
    DataConfig config;
    config.path = folder.string();
    return open_dataset(config, 16, split);
}

// The text that a file of tokens is.
std::string text_of(const fs::path& file, const Tokenizer& tokenizer) {
    const TokenBin bin(file, token_type(tokenizer.vocab()));
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(bin.size()));
    bin.read(0, tokens);
    return tokenizer.decode(tokens);
}

// Characters from U+10000 on, so many of them, each once in every part of the text.
std::string many_characters(char32_t n) {
    std::string text;
    for (int part = 0; part < 3; ++part)
        for (char32_t c = 0; c < n; ++c) append_utf8(text, 0x10000 + c);
    return text;
}

}  // namespace

TEST_CASE("a folder of learnt tokens holds its text and its vocabulary", "[data]") {
    const TempFolder folder;
    const std::string text = rhyme("cat");
    const TokenMeta meta = prepare(folder / "d", "bpe:270", text);
    CHECK(text_of(folder / "d/train.bin", meta.tokenizer) +
              text_of(folder / "d/val.bin", meta.tokenizer) +
              text_of(folder / "d/test.bin", meta.tokenizer) ==
          text);
    const auto data = open_split(folder / "d");
    CHECK(data->vocab() == 270);
    CHECK(data->tokenizer() == meta.tokenizer);
    CHECK(data->decode(data->encode("the cat")) == "the cat");
    CHECK(data->bytes_per_token() * static_cast<double>(meta.val.tokens) ==
          Approx(static_cast<double>(text_of(folder / "d/val.bin", meta.tokenizer).size())));
    CHECK(data->bytes_per_token() > 2);
    CHECK_THAT(data->describe(), contains_text("bpe tokens, vocabulary 270"));
    CHECK(open_split(folder / "d", EvalSplit::test)->bytes_per_token() > 2);
    // Typed again it is all there; with another vocabulary, or without, it is something else.
    const auto before = test::content(folder / "d");
    prepare(folder / "d", "bpe:270", text);
    CHECK(test::content(folder / "d") == before);
    CHECK_THROWS_AS(prepare(folder / "d", "bpe:269", text), UsageError);
    CHECK_THROWS_AS(prepare(folder / "d", "byte", text), UsageError);
    prepare(folder / "d", "byte", text, true);
    CHECK_FALSE(fs::exists(folder / "d/vocab.json"));
    CHECK_FALSE(fs::exists(folder / "d/merges.txt"));
}

TEST_CASE("a vocabulary is learnt from what is trained on, nothing else", "[data]") {
    const TempFolder folder;
    std::string end;  // less than the last fifth of the text, which is validation and test
    while (end.size() < 600) end += " qx";
    const Tokenizer learnt = prepare(folder / "d", "bpe:270", rhyme("cat") + end).tokenizer;
    CHECK(learnt.encode("qx").size() == 2);
    CHECK(learnt == Tokenizer::of(train_bpe(text_of(folder / "d/train.bin", learnt), 270)));
}

TEST_CASE("other text is prepared with the vocabulary of a folder", "[data]") {
    const TempFolder folder;
    const TokenMeta cat = prepare(folder / "cat", "bpe:270", rhyme("cat"));
    const TokenMeta dog =
        prepare(folder / "dog", "gpt2:" + (folder / "cat").string(), rhyme("dog"));
    CHECK(dog.tokenizer == cat.tokenizer);
    const TokenMeta own = prepare(folder / "own", "bpe:270", rhyme("dog"));
    CHECK_FALSE(own.tokenizer == cat.tokenizer);
    const auto run = open_split(folder / "cat")->tokenizer();
    CHECK_NOTHROW(check_same_tokenizer(*open_split(folder / "dog"), run, "runs/a"));
    CHECK_THROWS_AS(check_same_tokenizer(*open_split(folder / "own"), run, "runs/a"), UsageError);
    CHECK_THROWS_WITH(
        check_same_tokenizer(*open_split(folder / "own"), run, "runs/a"),
        contains_text("bpe, 270 tokens") && contains_text("--tokenizer gpt2:runs/a/data"));
    CHECK(open_split(folder / "own")->fingerprint() != open_split(folder / "dog")->fingerprint());
    CHECK_THROWS_WITH(prepare(folder / "x", "gpt2:" + (folder / "none").string(), rhyme("dog")),
                      contains_text("merges.txt"));
    CHECK_FALSE(fs::exists(folder / "x"));
}

TEST_CASE("token files of another program are text where GPT-2's files lie beside them", "[data]") {
    const TempFolder folder;
    const TokenMeta meta = prepare(folder / "d", "bpe:270", rhyme("cat"));
    const auto ours = open_split(folder / "d");
    fs::remove(folder / "d/meta.json");
    fs::rename(folder / "d/vocab.json", folder / "d/encoder.json");
    fs::rename(folder / "d/merges.txt", folder / "d/vocab.bpe");
    const auto data = open_split(folder / "d");
    CHECK(data->vocab() == 270);
    CHECK(data->tokenizer() == meta.tokenizer);
    CHECK(data->bytes_per_token() == Approx(ours->bytes_per_token()));
    CHECK(data->fingerprint() == ours->fingerprint());
    CHECK(data->decode(data->encode("the cat")) == "the cat");
    save_run_text(folder / "run", *data);
    CHECK(open_run_text(folder / "run", {}, 16)->encode("the cat") == data->encode("the cat"));
    DataConfig config;
    config.path = (folder / "d").string(), config.vocab = 200;
    CHECK_THROWS_WITH(open_dataset(config, 16), contains_text("encoder.json"));
    spill(folder / "d/vocab.bpe", "t h e\n");
    CHECK_THROWS_AS(open_split(folder / "d"), IoError);
}

TEST_CASE("a run keeps the vocabulary of its data", "[data][run]") {
    const TempFolder folder;
    const TokenMeta meta = prepare(folder / "d", "bpe:270", rhyme("cat"));
    save_run_text(folder / "run", *open_split(folder / "d"));
    fs::remove_all(folder / "d");
    const auto text = open_run_text(folder / "run", {}, 16);
    CHECK(text->is_text());
    CHECK(text->vocab() == 270);
    CHECK(text->encode("the cat") == meta.tokenizer.encode("the cat"));
    CHECK(text->decode(text->encode("the cat")) == "the cat");
    // Weights of it go on with other text, and with another vocabulary that is said.
    prepare(folder / "same", "gpt2:" + (folder / "run/data").string(), rhyme("dog"));
    prepare(folder / "own", "bpe:270", rhyme("dog"));
    Config config;
    config.train.eval_sequences = config.record.probe_sequences = 1;
    CHECK(config_warnings(config, *open_split(folder / "own"), 1).empty());
    config.train.init_from = (folder / "run").string() + "@2";
    CHECK(config_warnings(config, *open_split(folder / "same"), 1).empty());
    const auto warnings = config_warnings(config, *open_split(folder / "own"), 1);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], contains_text("another tokenizer (bpe, 270 tokens)") &&
                                contains_text("gpt2:" + (folder / "run/data").string()));
    fs::remove(folder / "run/data/merges.txt");
    CHECK_THROWS_AS(open_run_text(folder / "run", {}, 16), IoError);
    CHECK_THROWS_WITH(open_run_text(folder / "run", {}, 16), contains_text("damaged"));
}

TEST_CASE("a vocabulary that is not the one of the tokens is refused", "[data]") {
    const TempFolder folder;
    prepare(folder / "a", "bpe:270", rhyme("cat"));
    prepare(folder / "b", "bpe:270", rhyme("dog"));
    const fs::path merges = folder / "a/merges.txt";
    const auto refused = [&](const std::string& what) {
        CHECK_THROWS_AS(open_split(folder / "a"), IoError);
        CHECK_THROWS_WITH(open_split(folder / "a"), contains_text("meta.json") &&
                                                        contains_text(what) &&
                                                        contains_text("plumb data prepare"));
    };
    const std::string whole = slurp(merges);
    spill(merges, whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1));
    refused("merges.txt");  // a merge is missing
    spill(merges, "t h e\n");
    refused("line 1");
    fs::remove(merges);
    refused("merges.txt");
    for (const char* name : {"vocab.json", "merges.txt"})
        fs::copy_file(folder / "b" / name, folder / "a" / name,
                      fs::copy_options::overwrite_existing);
    refused("another tokenizer");
}

TEST_CASE("tokens above 65,535 are written as uint32, up to it as uint16", "[data]") {
    const TempFolder folder;
    for (const char32_t n : {65'536, 65'537}) {
        const std::string text = many_characters(n);
        const fs::path out = folder / fmt::format("{}", static_cast<int>(n));
        const TokenMeta meta = prepare(out, "char", text);
        const std::uintmax_t width = n > 65'536 ? 4 : 2;
        CHECK(meta.dtype == (width == 4 ? "uint32" : "uint16"));
        CHECK((meta.to_json().find("dtype") != std::string::npos) == (width == 4));
        CHECK(fs::file_size(out / "train.bin") ==
              width * static_cast<std::uintmax_t>(meta.train.tokens));
        const auto data = open_split(out);
        CHECK(data->vocab() == static_cast<Index>(n));
        CHECK_NOTHROW(data->fingerprint());
        CHECK(text_of(out / "train.bin", meta.tokenizer) ==
              text.substr(0, 4 * static_cast<std::size_t>(meta.train.tokens)));
        CHECK(TokenBin(out / "train.bin", meta.dtype).largest() == static_cast<Index>(n) - 1);
        DataConfig config;
        config.path = out.string(), config.dtype = width == 4 ? "uint16" : "uint32";
        CHECK_THROWS_WITH(open_dataset(config, 16), contains_text("meta.json says " + meta.dtype));
    }
    // A token that the vocabulary does not have, in four bytes.
    const fs::path bin = folder / "65537/train.bin";
    std::string bytes = slurp(bin);
    bytes[2] = 9;
    spill(bin, bytes);
    CHECK_THROWS_WITH(open_split(folder / "65537"),
                      contains_text("train.bin holds token") &&
                          contains_text("outside the vocabulary of 65537 in meta.json"));
    // meta.json that says what cannot be.
    std::string meta = slurp(folder / "65537/meta.json");
    meta.replace(meta.find("uint32"), 6, "uint16");
    spill(folder / "65537/meta.json", meta);
    CHECK_THROWS_WITH(open_split(folder / "65537"), contains_text("65537 tokens do not fit"));
}

TEST_CASE("what was prepared before has the bytes it had", "[data]") {
    const TempFolder folder;
    prepare(folder / "d", "byte", std::string(20, 'a'));
    CHECK(slurp(folder / "d/val.bin") == std::string("a\0a\0", 4));
    CHECK(slurp(folder / "d/meta.json") == R"({
  "schema": 1,
  "name": "t",
  "tokenizer": "byte",
  "vocab": 256,
  "bytes": 20,
  "bytes_per_token": 1.0,
  "train_tokens": 16,
  "val_tokens": 2,
  "sha256": {
    "text": "42492da06234ad0ac76f5d5debdb6d1ae027cffbe746a1c13b89bb8bc0139137",
    "train.bin": "4e1de1cd55f400e5fd61b8c36f1615e83025e6c78127f29bbe991adba569b88c",
    "val.bin": "7d8e61117e9a1ab2808f295546661f921bbe7e20c0158c7e81b5d1c13654b457",
    "test.bin": "7d8e61117e9a1ab2808f295546661f921bbe7e20c0158c7e81b5d1c13654b457"
  },
  "test_bytes_per_token": 1.0,
  "test_tokens": 2
}
)");
}

TEST_CASE("plumb: learnt tokens are trained on, scored, written as text and exported",
          "[cli][data]") {
    const TempFolder folder;
    const std::string data = folder / "d", run = folder / "run", hf = folder / "hf";
    spill(folder / "t.txt", rhyme("cat"));
    const test::Outcome made = test::run_plumb(
        {"data", "prepare", folder / "t.txt", "--tokenizer", "bpe:270", "--out", data});
    CHECK(made.code == 0);
    CHECK_THAT(made.out, contains_text("bpe, vocabulary 270") &&
                             contains_text("meta.json, merges.txt, vocab.json"));
    const test::Outcome trained = test::run_plumb(
        {"train", "data.path=" + data, "model.layers=1", "model.width=16", "model.heads=2",
         "model.mlp=swiglu", "model.context=16", "train.batch=2", "train.steps=2",
         "train.eval_sequences=2", "--threads", "1", "--out", run});
    INFO(trained.out);
    REQUIRE(trained.code == 0);
    CHECK_THAT(trained.out, contains_text("bpe tokens, vocabulary 270"));
    const auto scored = test::json_of({"eval", run, "--json"})["runs"][0];
    const double bytes = read_token_meta(data)->val.bytes_per_token;
    CHECK(scored["bits_per_byte"].get<double>() ==
          Approx(scored["loss"].get<double>() / std::log(2.0) / bytes));
    fs::remove_all(data);  // a run writes text without its data
    const test::Outcome text =
        test::run_plumb({"generate", run, "--prompt", "the cat", "--tokens", "8"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out, contains_text("the cat"));
    REQUIRE(test::run_plumb({"export", run, "--to", "hf", "-o", hf}).code == 0);
    const auto model = nlohmann::json::parse(slurp(hf + "/tokenizer.json"))["model"];
    CHECK(model["vocab"] == nlohmann::json::parse(slurp(run + "/data/vocab.json")));
    CHECK(model["merges"].size() == 14);
    const test::Outcome typed =
        test::run_plumb({"data", "prepare", folder / "t.txt", "--tokenizer", "bpe", "--out", data});
    CHECK(typed.code == 2);
    CHECK_THAT(typed.out, contains_text("--tokenizer bpe:V"));
}
