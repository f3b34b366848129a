// Text to tokens and back. byte: token = byte, vocabulary 256, any file. char: token = rank of the
// Unicode code point among those of the corpus, sorted; needs valid UTF-8.
#pragma once

#include "core/utf8.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

class Tokenizer {
public:
    static Tokenizer bytes();
    // The code points of `text` (valid UTF-8, else UsageError), sorted. At most 65,536 of them.
    static Tokenizer chars_of(std::string_view text);
    // kind "byte" or "char", as typed or as stored in meta.json; UsageError names what exists.
    static Tokenizer make(std::string_view kind, std::string_view text);
    static void check_kind(std::string_view kind);

    const char* kind() const { return chars_.empty() ? "byte" : "char"; }
    std::int64_t vocab() const;
    // All characters of a char tokenizer in token order, UTF-8; "" for byte.
    std::string alphabet() const;

    // encode throws UsageError naming the first character without a token, and its offset.
    std::vector<std::int32_t> encode(std::string_view text) const;
    // A token >= vocab(), which a model with a padded vocabulary (data.vocab) may draw, is U+FFFD.
    std::string decode(std::span<const std::int32_t> tokens) const;

private:
    std::vector<char32_t> chars_;  // sorted; empty: byte
};

}  // namespace plumb
