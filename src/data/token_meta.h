// meta.json: what the token files beside it hold. Schema 1:
//   {"schema": 1, "name", "tokenizer": "byte|char|bpe", "vocab", "chars": all characters in token
//    order (char only), "dtype": "uint16|uint32" (uint16 if absent), "bytes": of the whole text,
//    "bytes_per_token": of the validation text, "train_tokens", "val_tokens",
//    "sha256": {"text" (absent where the text is not known), "train.bin", "val.bin"}}
// and, where there is a test split, "test_bytes_per_token", "test_tokens", sha256["test.bin"].
// The tokenizer bpe is vocab.json and merges.txt beside it (data/bpe_files.h), with their hashes
// in "sha256".
#pragma once

#include "data/tokenizer.h"

#include <filesystem>
#include <map>
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
    std::string dtype = "uint16";  // the least that holds the vocabulary, where we write it
    std::int64_t bytes = 0;
    std::string text_sha256;
    SplitMeta train, val, test;  // bytes_per_token of train is not stored

    std::string to_json() const;  // ends with a newline
    // meta.json and the files of the tokenizer: all that stands beside the tokens.
    std::map<std::string, std::string> files() const;
    // Same tokenizer and same files, whatever the name.
    bool same_content(const TokenMeta& other) const;
};

// Bytes of a number in the file: "uint16", or "uint32" where tokens do not fit in that.
const char* token_type(std::int64_t vocab);

// nullopt if the folder has no meta.json. IoError if it is not schema 1 or makes no sense, or the
// files of the tokenizer are not there or not those that it describes.
std::optional<TokenMeta> read_token_meta(const std::filesystem::path& folder);
// The same, but nullopt also where it cannot be read, or is of tokens without a text.
std::optional<TokenMeta> text_meta(const std::filesystem::path& folder);

}  // namespace plumb
