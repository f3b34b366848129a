#include "data/tokenizer.h"

#include "core/check.h"
#include "core/text.h"
#include "data/bpe_files.h"

#include <algorithm>

namespace plumb {
namespace {

// Calls visit(code point, offset) for all of `text`.
template <class Visit>
void for_each_code_point(std::string_view text, Visit visit) {
    for (std::size_t i = 0; i < text.size();) {
        const CodePoint c = code_point_at(text, i);
        if (c.n_bytes == 0)
            throw UsageError(fmt::format("not UTF-8 at byte offset {} (byte 0x{:02x})", i,
                                         static_cast<unsigned char>(text[i])));
        visit(c.value, i);
        i += c.n_bytes;
    }
}

class Bytes final : public TokenScheme {
public:
    const char* kind() const override { return "byte"; }
    std::int64_t vocab() const override { return 256; }
    std::int64_t longest() const override { return 1; }
    std::string definition() const override { return ""; }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        std::vector<std::int32_t> tokens;
        tokens.reserve(text.size());
        for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
        return tokens;
    }
    void decode(std::int32_t token, std::string& text) const override {
        text.push_back(static_cast<char>(token));
    }
};

class Chars final : public TokenScheme {
public:
    explicit Chars(std::string_view text) {
        if (text.empty()) throw UsageError("a char tokenizer needs a text; this one is empty");
        std::vector<bool> seen(0x110000);
        for_each_code_point(text, [&](char32_t c, std::size_t) { seen[c] = true; });
        for (char32_t c = 0; c < seen.size(); ++c)
            if (seen[c]) sorted_.push_back(c);
    }
    const char* kind() const override { return "char"; }
    std::int64_t vocab() const override { return std::ssize(sorted_); }
    std::int64_t longest() const override { return 4; }
    std::string definition() const override {
        std::string text;
        for (const char32_t c : sorted_) append_utf8(text, c);
        return text;
    }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        std::vector<std::int32_t> tokens;
        tokens.reserve(text.size());
        for_each_code_point(text, [&](char32_t c, std::size_t offset) {
            const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), c);
            if (at == sorted_.end() || *at != c) refuse(c, offset);
            tokens.push_back(static_cast<std::int32_t>(at - sorted_.begin()));
        });
        return tokens;
    }
    void decode(std::int32_t token, std::string& text) const override {
        append_utf8(text, sorted_[static_cast<std::size_t>(token)]);
    }

private:
    [[noreturn]] void refuse(char32_t c, std::size_t offset) const {
        std::string shown;
        append_utf8(shown, c);
        throw UsageError(fmt::format(
            "no token for '{}' (U+{:04X}) at byte offset {}: the char tokenizer knows the {} "
            "characters of its corpus; leave it out, or prepare with --tokenizer byte",
            shown, static_cast<std::uint32_t>(c), offset, sorted_.size()));
    }
    std::vector<char32_t> sorted_;
};

class Pairs final : public TokenScheme {
public:
    explicit Pairs(Bpe bpe) : bpe_(std::move(bpe)) {
        for (const std::string& token : bpe_.tokens())
            longest_ = std::max<std::int64_t>(longest_, std::ssize(token));
    }
    const char* kind() const override { return "bpe"; }
    std::int64_t vocab() const override { return std::ssize(bpe_.tokens()); }
    std::int64_t longest() const override { return longest_; }
    std::string definition() const override { return bpe_vocab_text(bpe_) + bpe_merges_text(bpe_); }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        return bpe_.encode(text);
    }
    void decode(std::int32_t token, std::string& text) const override {
        text += bpe_.tokens()[static_cast<std::size_t>(token)];
    }
    std::map<std::string, std::string> files() const override {
        return {{kBpeVocab, bpe_vocab_text(bpe_)}, {kBpeMerges, bpe_merges_text(bpe_)}};
    }
    const Bpe* bpe() const override { return &bpe_; }

private:
    Bpe bpe_;
    std::int64_t longest_ = 1;
};

}  // namespace

Tokenizer Tokenizer::bytes() {
    static const auto scheme = std::make_shared<const Bytes>();
    return Tokenizer(scheme);
}

Tokenizer Tokenizer::chars_of(std::string_view text) {
    return Tokenizer(std::make_shared<const Chars>(text));
}

Tokenizer Tokenizer::of(Bpe bpe) {
    return Tokenizer(std::make_shared<const Pairs>(std::move(bpe)));
}

std::string Tokenizer::describe() const {
    if (kind() == "byte") return "byte";
    return fmt::format("{}, {} {}", kind(), thousands(vocab()),
                       kind() == "char" ? "characters" : "tokens");
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
    std::string text;
    for (const std::int32_t token : tokens) {
        require(token >= 0, "a negative token");
        if (token >= vocab())
            text += "\xef\xbf\xbd";
        else
            scheme_->decode(token, text);
    }
    return text;
}

}  // namespace plumb
