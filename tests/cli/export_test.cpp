// `plumb export`: names, shapes and numbers of what it writes. scripts/check_eval reads it with
// PyTorch and transformers.
#include "run/export.h"
#include "catch.h"
#include "formats/safetensors.h"
#include "support/run_program.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

std::vector<float> floats(const SafetensorsFile& file, const std::string& name) {
    const auto values = file.values<float>(name);
    return {values.begin(), values.end()};
}

void refuses(const std::vector<std::string>& args, int code, const std::string& mentions) {
    const Outcome o = run_plumb(args);
    INFO(o.out);
    CHECK(o.code == code);
    CHECK_THAT(o.out, contains_text(mentions));
}

}  // namespace

TEST_CASE("a standard run becomes a LlamaForCausalLM, every weight once", "[cli][export]") {
    const TempFolder temp;
    const std::string run = temp / "run", out = temp / "out";
    REQUIRE(run_plumb(tiny_run(run, {"model.layers=2", "model.heads=4", "model.kv_heads=2",
                                     "model.tied_head=false"}))
                .code == 0);
    REQUIRE(run_plumb({"export", run, "--to", "hf", "-o", out}).code == 0);
    const auto ours = SafetensorsFile::open(checkpoint_of(run, 20) / "model.safetensors");
    const auto theirs = SafetensorsFile::open(out + "/model.safetensors");
    CHECK(floats(theirs, "model.embed_tokens.weight") == floats(ours, "embed.weight"));
    CHECK(floats(theirs, "lm_head.weight") == floats(ours, "head.weight"));
    CHECK(floats(theirs, "model.norm.weight") == floats(ours, "output.norm.gain"));
    std::vector<float> qkv;
    for (const char* part : {"q", "k", "v"}) {
        const auto x = floats(theirs, fmt::format("model.layers.1.self_attn.{}_proj.weight", part));
        qkv.insert(qkv.end(), x.begin(), x.end());
    }
    CHECK(qkv == floats(ours, "layer.1.attn.qkv.weight"));
    CHECK(theirs.shape("model.layers.1.self_attn.k_proj.weight") == std::vector<Index>{8, 16});
    std::vector<float> up = floats(theirs, "model.layers.0.mlp.gate_proj.weight");
    const auto second = floats(theirs, "model.layers.0.mlp.up_proj.weight");
    up.insert(up.end(), second.begin(), second.end());
    CHECK(up == floats(ours, "layer.0.mlp.up.weight"));
    std::size_t numbers = 0, there = 0;
    for (const std::string& name : ours.names()) numbers += floats(ours, name).size();
    for (const std::string& name : theirs.names()) there += floats(theirs, name).size();
    CHECK(numbers == there);
    const auto config = nlohmann::json::parse(slurp(out + "/config.json"));
    CHECK(config["architectures"][0] == "LlamaForCausalLM");
    CHECK(config["num_key_value_heads"] == 2);
    CHECK(config["tie_word_embeddings"] == false);
    const std::string card = slurp(out + "/README.md");
    CHECK_THAT(card, contains_text("`standard`"));
    CHECK_THAT(card, contains_text("task markov"));
    CHECK_THAT(card, contains_text("train.batch=2"));  // the command
    CHECK_THAT(card, contains_text("validation loss"));
    CHECK(!fs::exists(out + "/tokenizer.json"));  // tokens of a task have no text
    refuses({"export", run, "--to", "hf", "-o", out}, 2, "new or empty folder");
}

TEST_CASE("what transformers has no counterpart of is refused by setting", "[cli][export]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"mixer=attnres"})).code == 0);
    refuses({"export", run, "--to", "hf", "-o", temp / "out"}, 2, "mixer.name=attnres");
    CHECK(!fs::exists(temp / "out"));
    refuses({"export", run, "--to", "onnx", "-o", temp / "out"}, 2, "hf");
    Config config;
    config.model.pattern = {"attn", "attn", "mlp"};
    CHECK_THROWS_WITH(check_hf(config), contains_text("model.pattern=attn,attn,mlp"));
    config.model.pattern = {"attn", "mlp"};
    config.model.mlp = "gelu";
    CHECK_THROWS_WITH(check_hf(config), contains_text("model.mlp=gelu"));
}

TEST_CASE("tokenizers of an export: one token a byte or a character", "[export]") {
    const auto bytes = nlohmann::json::parse(hf_tokenizer(Tokenizer::bytes()));
    CHECK(bytes["model"]["vocab"].size() == 256);
    CHECK(bytes["model"]["vocab"]["a"] == 'a');
    CHECK(bytes["model"]["vocab"]["\u0120"] == ' ');  // as GPT-2 writes a blank
    CHECK(bytes["model"]["vocab"]["\u010a"] == '\n');
    CHECK(bytes["model"]["vocab"]["\u0143"] == 0xad);  // the last one without a shape of its own
    CHECK(bytes["decoder"]["type"] == "ByteLevel");
    const auto chars = nlohmann::json::parse(hf_tokenizer(Tokenizer::chars_of("b a\u00e9")));
    CHECK(chars["model"]["vocab"] == nlohmann::json{{" ", 0}, {"a", 1}, {"b", 2}, {"\u00e9", 3}});
    CHECK(chars["decoder"]["type"] == "Fuse");
}
