// meta.json: what the token files beside it hold. Schema 1:
//   {"schema": 1, "name", "tokenizer": "byte|char", "vocab", "chars": all characters in token order
//    (char only), "dtype": "uint16|uint32" (uint16 if absent), "bytes": of the whole text,
//    "bytes_per_token": of the validation text, "train_tokens", "val_tokens",
//    "sha256": {"text" (absent where the text is not known), "train.bin", "val.bin"}}
// and, where there is a test split, "test_bytes_per_token", "test_tokens", sha256["test.bin"].
#pragma once

#include "data/tokenizer.h"

#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

// What the file says of one split.
struct SplitMeta {
    std::int64_t tokens = 0;  // 0: there is no such split
    double bytes_per_token = 0;
    std::string sha256;  // of the file

    bool operator==(const SplitMeta&) const = default;
};

struct TokenMeta {
    std::string name;
    Tokenizer tokenizer = Tokenizer::bytes();
    std::string dtype = "uint16";
    std::int64_t bytes = 0;
    std::string text_sha256;
    SplitMeta train, val, test;  // bytes_per_token of train is not stored

    std::string to_json() const;  // ends with a newline
    // Same tokenizer and same files, whatever the name.
    bool same_content(const TokenMeta& other) const;
};

// nullopt if the folder has no meta.json. IoError if it is not schema 1 or makes no sense.
std::optional<TokenMeta> read_token_meta(const std::filesystem::path& folder);

}  // namespace plumb
