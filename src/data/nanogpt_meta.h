// meta.pkl beside nanoGPT's character-level token files: a Python pickle of {"vocab_size": 65,
// "itos": {0: "\n", ..}, "stoi": {..}}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

struct NanoGptMeta {
    std::int64_t vocab = 0;
    std::string characters;  // of token 0, 1, ..: one each, UTF-8; "" if itos does not say so
};

// nullopt if the folder has no meta.pkl. The pickle is read, never executed: numbers, texts, lists
// and dictionaries are understood, and anything that would call or import something is an IoError
// that says what to type instead, as is a file that is no pickle.
std::optional<NanoGptMeta> read_nanogpt_meta(const std::filesystem::path& folder);

}  // namespace plumb
