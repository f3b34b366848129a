// A folder of token files: train.bin, val.bin and maybe test.bin (token_bin.h), with Plumb's
// meta.json, nanoGPT's meta.pkl or the two files of a GPT-2 tokenizer (bpe_files.h), or none.
#pragma once

#include "data/dataset.h"

#include <filesystem>

namespace plumb {

// First token of sequence `sequence`. Training: uniform over all windows of context + 1 tokens.
// Validation: windows that start at multiples of `context`, so no token is scored twice; any number
// of whole ones is spread evenly over the file (a golden-ratio walk through all), and the last
// sequence is what they leave at its end, if anything. Both need n_tokens >= context + 1; training
// never reaches past the end.
Index train_window(std::uint64_t seed, std::uint64_t sequence, Index n_tokens, Index context);
Index val_window(std::uint64_t sequence, Index n_tokens, Index context);
// Sequences that score every token but the first once.
Index n_val_windows(Index n_tokens, Index context);

// A folder with train.bin and val.bin in it, whatever they are worth.
bool holds_token_files(const std::filesystem::path& folder);

// Whether data.path holds tokens that training and validation never see (test.bin).
bool has_test_split(const DataConfig& config);

// Opens the folder config.path. The type of the numbers is config.dtype, else what the files or
// meta.json say. The vocabulary is config.vocab, else that of meta.json, meta.pkl or the tokenizer,
// else the largest token + 1. Without a tokenizer (a meta.json, a meta.pkl with single characters,
// or GPT-2's files) there is no text and no bits per byte. Throws IoError naming the file,
// UsageError if a setting does not fit the files or the context is longer than a split.
std::unique_ptr<Dataset> open_token_files(const DataConfig& config, Index context, EvalSplit split);

}  // namespace plumb
