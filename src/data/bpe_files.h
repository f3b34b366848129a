// The two files of a GPT-2 tokenizer, which transformers, tokenizers and tiktoken read too:
//     vocab.json (OpenAI: encoder.json)   {"!": 0, ..}, all tokens
//     merges.txt (OpenAI: vocab.bpe)      "#version: 0.2", then a merge a line: two tokens
// A byte is written as a visible character: itself where it has a shape in Latin-1 (188 of them),
// else the next one from U+0100 on; a blank is U+0120.
#pragma once

#include "data/bpe.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace plumb {

inline constexpr const char* kBpeVocab = "vocab.json";
inline constexpr const char* kBpeMerges = "merges.txt";

// Bytes as those characters, and back; a text with another character stands for its UTF-8.
std::string bpe_characters(std::string_view bytes);
std::string bpe_bytes(std::string_view characters);

std::string bpe_vocab_text(const Bpe& bpe);
std::string bpe_merges_text(const Bpe& bpe);

// From the content of the two files; the names are for messages. Throws IoError that says which
// line or token is wrong.
Bpe parse_bpe(std::string_view vocab, const std::string& vocab_name, std::string_view merges,
              const std::string& merges_name);

// The two files of a folder, under either pair of names.
struct BpeFiles {
    std::filesystem::path vocab, merges;
};
std::optional<BpeFiles> find_bpe(const std::filesystem::path& folder);
// Throws IoError, also where they are not there.
Bpe read_bpe(const std::filesystem::path& folder);

}  // namespace plumb
