// meta.json: what the token files beside it hold. Schema 1:
//   {"schema": 1, "name", "tokenizer": "byte|char", "vocab", "chars": all characters in token order
//    (char only), "bytes": of the whole text, "bytes_per_token": of the validation text,
//    "train_tokens", "val_tokens", "sha256": {"text", "train.bin", "val.bin"}}
#pragma once

#include "train/tokenizer.h"

#include <filesystem>
#include <optional>
#include <string>

namespace plumb {

struct TokenMeta {
    std::string name;
    Tokenizer tokenizer = Tokenizer::bytes();
    std::int64_t bytes = 0;
    double bytes_per_token = 0;
    std::int64_t train_tokens = 0;
    std::int64_t val_tokens = 0;
    std::string text_sha256, train_sha256, val_sha256;

    std::string to_json() const;  // ends with a newline
    // Same tokenizer and same files, whatever the name.
    bool same_content(const TokenMeta& other) const;
};

// nullopt if the folder has no meta.json. IoError if it is not schema 1 or makes no sense.
std::optional<TokenMeta> read_token_meta(const std::filesystem::path& folder);

}  // namespace plumb
