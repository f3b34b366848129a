#include "run/export.h"

#include "core/files.h"
#include "data/bpe_files.h"
#include "formats/npz.h"
#include "mixers/mixers.h"
#include "run/run_directory.h"

#include <nlohmann/json.hpp>

namespace plumb {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

// ---- names and shapes of transformers ----------------------------------------------------------

// Rows first .. first + count of a matrix, or all of a vector.
TensorRef rows_of(const SafetensorsFile& file, const std::string& from, std::string to, Index first,
                  Index count) {
    std::vector<Index> shape = file.shape(from);
    const Index width = shape.size() == 2 ? shape[1] : 1;
    require(first + count <= shape[0], "export: " + from + " has too few rows");
    shape[0] = count;
    return {std::move(to), "F32", std::move(shape),
            file.values<float>(from).data() + first * width};
}

TensorRef all_of(const SafetensorsFile& file, const std::string& from, std::string to) {
    return rows_of(file, from, std::move(to), 0, file.shape(from).at(0));
}

// RoPE rotates the halves of a head in both programs, so no rows change places.
std::vector<TensorRef> hf_tensors(const SafetensorsFile& w, const ModelConfig& m) {
    std::vector<TensorRef> out{all_of(w, "embed.weight", "model.embed_tokens.weight"),
                               all_of(w, "output.norm.gain", "model.norm.weight")};
    if (!m.tied_head) out.push_back(all_of(w, "head.weight", "lm_head.weight"));
    const Index q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim, f = m.mlp_hidden;
    for (long b = 0; b < m.layers; ++b) {
        const std::string from = fmt::format("layer.{}.", b),
                          to = fmt::format("model.layers.{}.", b);
        const std::string qkv = from + "attn.qkv.weight", attention = to + "self_attn.";
        out.push_back(all_of(w, from + "attn.norm.gain", to + "input_layernorm.weight"));
        out.push_back(rows_of(w, qkv, attention + "q_proj.weight", 0, q));
        out.push_back(rows_of(w, qkv, attention + "k_proj.weight", q, kv));
        out.push_back(rows_of(w, qkv, attention + "v_proj.weight", q + kv, kv));
        out.push_back(all_of(w, from + "attn.out.weight", attention + "o_proj.weight"));
        if (m.qk_norm) {
            out.push_back(all_of(w, from + "attn.q_norm.gain", attention + "q_norm.weight"));
            out.push_back(all_of(w, from + "attn.k_norm.gain", attention + "k_norm.weight"));
        }
        out.push_back(all_of(w, from + "mlp.norm.gain", to + "post_attention_layernorm.weight"));
        out.push_back(rows_of(w, from + "mlp.up.weight", to + "mlp.gate_proj.weight", 0, f));
        out.push_back(rows_of(w, from + "mlp.up.weight", to + "mlp.up_proj.weight", f, f));
        out.push_back(all_of(w, from + "mlp.down.weight", to + "mlp.down_proj.weight"));
    }
    return out;
}

ordered_json hf_config(const ModelConfig& m, Index vocab) {
    return {{"architectures", {m.qk_norm ? "Qwen3ForCausalLM" : "LlamaForCausalLM"}},
            {"model_type", m.qk_norm ? "qwen3" : "llama"},
            {"vocab_size", vocab},
            {"hidden_size", m.width},
            {"intermediate_size", m.mlp_hidden},
            {"num_hidden_layers", m.layers},
            {"num_attention_heads", m.heads},
            {"num_key_value_heads", m.kv_heads},
            {"head_dim", m.head_dim},
            {"hidden_act", "silu"},
            {"max_position_embeddings", m.context},
            {"rms_norm_eps", m.norm_eps},
            // The first is what transformers 5 reads, the second what 4 does.
            {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", m.rope_base}}},
            {"rope_theta", m.rope_base},
            {"attention_bias", false},
            {"mlp_bias", false},
            {"attention_dropout", 0.0},
            {"tie_word_embeddings", m.tied_head},
            {"initializer_range", m.init_std},
            {"bos_token_id", nullptr},
            {"eos_token_id", nullptr},
            {"pad_token_id", nullptr},
            {"torch_dtype", "float32"}};
}

// ---- the card ----------------------------------------------------------------------------------

std::string model_card(const ExportedModel& m, const std::string& how) {
    const MixerInfo& mixer = find_mixer(m.config.mixer.name);
    std::string text = fmt::format(
        "# {}, step {}\n\nA small decoder-only transformer trained with Plumb.\n\n"
        "| | |\n|---|---|\n| depth mixer | `{}`: {} |\n| from | {} |\n| data | {} |\n",
        m.run, m.step, run_label(m.config), mixer.definition, mixer.paper, m.data);
    if (m.val_loss)
        text += fmt::format("| validation loss | {:.6f} nats per token{} |\n", *m.val_loss,
                            m.val_bpb ? fmt::format(", {:.6f} bits per byte", *m.val_bpb) : "");
    text +=
        fmt::format("| steps | {} |\n| seed | {} |\n\nTrained by\n\n    {}\n\n{}\n\nSettings:\n\n",
                    m.step, m.config.train.seed, m.command, how);
    for (const auto& [key, value] : values(m.config))
        text += fmt::format("    {} = {}\n", key, value);
    return text;
}

}  // namespace

void check_hf(const Config& config) {
    const auto refuse = [](const std::string& setting, const std::string& why) {
        throw UsageError(fmt::format("{}: {}; --to npz exports any model", setting, why));
    };
    if (config.mixer.name != "standard")
        refuse("mixer.name=" + config.mixer.name, "transformers has no model with this residual");
    if (config.model.pattern != Words{"attn", "mlp"})
        refuse(fmt::format("model.pattern={}", fmt::join(config.model.pattern, ",")),
               "a block of LlamaForCausalLM is an attention and an MLP");
    const OptionValues& attn = config.model.of("attn");
    if (attn.text("rope") != "half")
        refuse("attn.rope=" + attn.text("rope"), "LlamaForCausalLM turns queries and keys");
    if (attn.flag("value_residual"))
        refuse("attn.value_residual=true", "LlamaForCausalLM has no values of another layer");
    if (config.model.mlp != "swiglu")
        refuse("model.mlp=" + config.model.mlp, "the MLP of LlamaForCausalLM is gated (swiglu)");
}

std::string hf_tokenizer(const Tokenizer& tokenizer) {
    const Bpe* bpe = tokenizer.bpe();
    const bool bytes = tokenizer.kind() != "char";
    const auto name = [&](std::int32_t token) {
        const std::string text = tokenizer.decode(std::span(&token, 1));
        return bytes ? bpe_characters(text) : text;
    };
    ordered_json::object_t vocab;  // push_back: operator[] looks at every key before
    for (std::int32_t token = 0; token < tokenizer.vocab(); ++token)
        vocab.push_back({name(token), token});
    ordered_json merges = ordered_json::array();
    for (const BpeMerge& m : bpe ? bpe->merges() : std::vector<BpeMerge>{})
        merges.push_back(name(m.left) + " " + name(m.right));
    const ordered_json byte_level{{"type", "ByteLevel"},
                                  {"add_prefix_space", false},
                                  {"trim_offsets", false},
                                  {"use_regex", bpe != nullptr}};
    const ordered_json json{{"version", "1.0"},
                            {"truncation", nullptr},
                            {"padding", nullptr},
                            {"added_tokens", ordered_json::array()},
                            {"normalizer", nullptr},
                            {"pre_tokenizer", bytes ? byte_level : ordered_json()},
                            {"post_processor", nullptr},
                            {"decoder", bytes ? byte_level : ordered_json{{"type", "Fuse"}}},
                            {"model",
                             {{"type", "BPE"},
                              {"dropout", nullptr},
                              {"unk_token", nullptr},
                              {"continuing_subword_prefix", nullptr},
                              {"end_of_word_suffix", nullptr},
                              {"fuse_unk", false},
                              {"byte_fallback", false},
                              {"vocab", std::move(vocab)},
                              {"merges", std::move(merges)}}}};
    return json.dump(1) + "\n";
}

void export_hf(const ExportedModel& model, const fs::path& folder) {
    check_hf(model.config);
    const ModelConfig m = model.config.model.resolved();
    make_folder(folder);
    write_safetensors(folder / "model.safetensors", hf_tensors(*model.weights, m),
                      {{"format", "pt"}});
    write_file(folder / "config.json",
               hf_config(m, model.weights->shape("embed.weight").at(0)).dump(2) + "\n");
    if (model.text) {
        write_file(folder / "tokenizer.json", hf_tokenizer(model.text->tokenizer));
        write_file(folder / "tokenizer_config.json",
                   ordered_json{{"tokenizer_class", "PreTrainedTokenizerFast"},
                                {"model_max_length", m.context},
                                {"clean_up_tokenization_spaces", false}}
                           .dump(2) +
                       "\n");
    }
    write_file(
        folder / "README.md",
        model_card(model,
                   "Read it with `transformers`:\n\n"
                   "    AutoModelForCausalLM.from_pretrained(\"" +
                       folder.filename().string() + "\")\n\nIt was trained on windows of " +
                       std::to_string(m.context) + " tokens that begin anywhere in the text."));
}

void export_npz(const ExportedModel& model, const fs::path& folder) {
    make_folder(folder);
    std::vector<TensorRef> arrays;
    for (const std::string& name : model.weights->names())
        arrays.push_back(all_of(*model.weights, name, name));
    write_npz(folder / "model.npz", arrays);
    Config config = model.config;
    config.model = config.model.resolved();
    ordered_json json = to_json(config);
    json["vocab"] = model.weights->shape("embed.weight").at(0);
    json["step"] = model.step;
    write_file(folder / "config.json", json.dump(2) + "\n");
    write_file(folder / "README.md",
               model_card(model,
                          "`numpy.load(\"model.npz\")` has every array; weights of linear maps are "
                          "(out, in). `config.json` holds all settings."));
}

}  // namespace plumb
