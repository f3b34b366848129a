// Text to tokens and back. byte: token = byte, vocabulary 256, any file. char: token = rank of the
// Unicode code point among those of the corpus, sorted; needs valid UTF-8. bpe: data/bpe.h, any
// file. How one is asked for and stored: data/tokenizer_kinds.h.
#pragma once

#include "core/utf8.h"
#include "data/bpe.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// What one kind of tokenizer does; a Tokenizer is one of them.
class TokenScheme {
public:
    virtual ~TokenScheme() = default;
    virtual const char* kind() const = 0;
    virtual std::int64_t vocab() const = 0;
    // The most bytes that a token stands for.
    virtual std::int64_t longest() const = 0;
    // What makes it this tokenizer and no other of its kind.
    virtual std::string definition() const = 0;
    // As Tokenizer's. decode is given tokens below vocab().
    virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
    virtual void decode(std::int32_t token, std::string& text) const = 0;
    // The files of it that stand beside meta.json, by name.
    virtual std::map<std::string, std::string> files() const { return {}; }
    virtual const Bpe* bpe() const { return nullptr; }
};

class Tokenizer {
public:
    static Tokenizer bytes();
    // The code points of `text` (valid UTF-8, else UsageError), sorted.
    static Tokenizer chars_of(std::string_view text);
    static Tokenizer of(Bpe bpe);

    std::string kind() const { return scheme_->kind(); }  // "byte", "char", "bpe"
    std::int64_t vocab() const { return scheme_->vocab(); }
    std::int64_t longest() const { return scheme_->longest(); }
    // byte: ""; char: all characters in token order, UTF-8; bpe: its two files.
    std::string definition() const { return scheme_->definition(); }
    std::map<std::string, std::string> files() const { return scheme_->files(); }
    const Bpe* bpe() const { return scheme_->bpe(); }  // nullptr: of another kind
    // The same text has the same tokens.
    bool operator==(const Tokenizer& o) const {
        return scheme_ == o.scheme_ || (kind() == o.kind() && definition() == o.definition());
    }
    // "byte", "char, 65 characters", "bpe, 4,096 tokens".
    std::string describe() const;

    // encode throws UsageError naming the first character without a token, and its offset.
    std::vector<std::int32_t> encode(std::string_view text) const { return scheme_->encode(text); }
    // A token >= vocab(), which a model with a padded vocabulary (data.vocab) may draw, is U+FFFD.
    std::string decode(std::span<const std::int32_t> tokens) const;

private:
    explicit Tokenizer(std::shared_ptr<const TokenScheme> scheme) : scheme_(std::move(scheme)) {}

    std::shared_ptr<const TokenScheme> scheme_;
};

}  // namespace plumb
