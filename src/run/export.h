// A trained network as a folder that other programs read.
//
//     hf    config.json, model.safetensors and, where there is one, the tokenizer, as transformers
//           reads them: AutoModelForCausalLM.from_pretrained(DIR). Only for what transformers has:
//           the standard residual with a gated MLP, LlamaForCausalLM (with model.qk_norm:
//           Qwen3ForCausalLM, which norms queries and keys per head alike).
//     npz   model.npz, every array under its own name, and config.json, for any mixer; the names
//     and
//           equations are those of scripts/oracle, which runs them in PyTorch.
//
// Both have README.md, a model card.
#pragma once

#include "config/config.h"
#include "data/token_meta.h"
#include "formats/safetensors.h"

#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

struct ExportedModel {
    Config config;
    const SafetensorsFile* weights = nullptr;  // by parameter name
    std::optional<TokenMeta> text;             // none: tokens have no text
    // For the card.
    std::string run;      // as typed
    std::string data;     // one line
    std::string command;  // that trained it
    Index step = 0;
    std::optional<double> val_loss, val_bpb;
};

// Throws UsageError naming the setting that transformers has no counterpart of.
void check_hf(const Config& config);

// Write into `folder`, which is made if it does not exist. Throw IoError.
void export_hf(const ExportedModel& model, const std::filesystem::path& folder);
void export_npz(const ExportedModel& model, const std::filesystem::path& folder);

// tokenizer.json of the tokenizers library: byte-level BPE, for byte and char without merges.
std::string hf_tokenizer(const Tokenizer& tokenizer);

}  // namespace plumb
