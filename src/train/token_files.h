// Token files: train.bin and val.bin, raw little-endian uint16 (nanoGPT's format), with meta.json.
#pragma once

#include "train/dataset.h"
#include "train/token_meta.h"

#include <filesystem>

namespace plumb {

// A .bin file, memory-mapped, read only. Throws IoError for a missing, empty or odd-sized file.
class MappedTokens {
public:
    explicit MappedTokens(const std::filesystem::path& file);
    ~MappedTokens();
    MappedTokens(const MappedTokens&) = delete;
    MappedTokens& operator=(const MappedTokens&) = delete;

    std::span<const std::uint16_t> tokens() const { return tokens_; }
    std::string sha256() const;

private:
    std::span<const std::uint16_t> tokens_;
};

// First token of sequence `sequence`. Training: uniform over all windows of context + 1 tokens.
// Validation: windows that start at multiples of `context`, so no token is scored twice; any number
// of them is spread evenly over the file (a golden-ratio walk through all). Past the last window it
// starts over. Both need n_tokens >= context + 1 and never reach past the end.
Index train_window(std::uint64_t seed, std::uint64_t sequence, Index n_tokens, Index context);
Index val_window(std::uint64_t sequence, Index n_tokens, Index context);

// A folder of `plumb data prepare`, or nanoGPT's (no meta.json: vocabulary = largest token + 1, no
// text, no bits per byte; meta.pkl is not read). Throws IoError naming the file, UsageError if the
// context is longer than a split.
std::unique_ptr<Dataset> open_token_files(const std::string& folder, Index context);

}  // namespace plumb
