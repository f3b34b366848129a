// Byte-level byte-pair encoding: GPT-2's tokenizer (Sennrich et al. 2016, section 3.2, on bytes as
// Radford et al. 2019 have it). Any file has tokens, and they give it back.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace plumb {

struct BpeMerge {
    std::int32_t left, right, result;  // result = the bytes of left, then those of right
    bool operator==(const BpeMerge&) const = default;
};

class Bpe {
public:
    // tokens: the bytes of each; all 256 single bytes are among them, none is there twice. merges:
    // by rank, the first is tried first. Tokens that are no byte and no result of a merge
    // (<|endoftext|>) are in the vocabulary, but no text encodes to them. Throws UsageError for a
    // byte that is missing or a token that is empty or there twice.
    Bpe(std::vector<std::string> tokens, std::vector<BpeMerge> merges);

    const std::vector<std::string>& tokens() const { return tokens_; }
    const std::vector<BpeMerge>& merges() const { return merges_; }

    // Each word of `text` (data/pre_tokens.h) begins as its bytes; then, until nothing is left to
    // merge, the pair of the lowest rank becomes one, of several the leftmost.
    std::vector<std::int32_t> encode(std::string_view text) const;
    // Tokens are at least 0; what lies beyond the vocabulary is U+FFFD.
    std::string decode(std::span<const std::int32_t> tokens) const;

private:
    struct Ranked {
        std::int32_t rank, result;
    };
    struct Word;  // that is being encoded
    const Ranked* find(std::int32_t left, std::int32_t right) const;
    void encode_word(std::string_view text, Word& word, std::vector<std::int32_t>& out) const;

    std::vector<std::string> tokens_;
    std::vector<BpeMerge> merges_;
    std::array<std::int32_t, 256> byte_token_{};
    std::unordered_map<std::uint64_t, Ranked> ranked_;  // by bpe_pair(left, right)
};

// A pair of tokens as one number that sorts as the pair does.
inline std::uint64_t bpe_pair(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
           static_cast<std::uint32_t>(right);
}

// The tokens of single bytes in GPT-2's order: the 188 that have a shape first (bpe_files.h).
std::vector<std::string> bpe_alphabet();

}  // namespace plumb
