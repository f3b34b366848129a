#include "data/tokenizer.h"

#include "core/check.h"

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

}  // namespace

// ---- Making one --------------------------------------------------------------------------------

Tokenizer Tokenizer::bytes() { return {}; }

Tokenizer Tokenizer::chars_of(std::string_view text) {
    if (text.empty()) throw UsageError("a char tokenizer needs a text; this one is empty");
    std::vector<bool> seen(0x110000);
    for_each_code_point(text, [&](char32_t c, std::size_t) { seen[c] = true; });
    Tokenizer made;
    for (char32_t c = 0; c < seen.size(); ++c)
        if (seen[c]) made.chars_.push_back(c);
    if (made.chars_.size() > 65536)
        throw UsageError(
            fmt::format("{} different characters; a token has 16 bits. Use "
                        "--tokenizer byte",
                        made.chars_.size()));
    return made;
}

void Tokenizer::check_kind(std::string_view kind) {
    if (kind != "byte" && kind != "char")
        throw UsageError(fmt::format(
            "no tokenizer '{}'; there are byte (default, any file) and char (UTF-8 text): type "
            "--tokenizer byte or --tokenizer char",
            kind));
}

Tokenizer Tokenizer::make(std::string_view kind, std::string_view text) {
    check_kind(kind);
    return kind == "byte" ? bytes() : chars_of(text);
}

// ---- Using one ---------------------------------------------------------------------------------

std::int64_t Tokenizer::vocab() const {
    return chars_.empty() ? 256 : static_cast<std::int64_t>(chars_.size());
}

std::string Tokenizer::alphabet() const {
    std::string text;
    for (const char32_t c : chars_) append_utf8(text, c);
    return text;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
    std::vector<std::int32_t> tokens;
    tokens.reserve(text.size());
    if (chars_.empty()) {
        for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
        return tokens;
    }
    for_each_code_point(text, [&](char32_t c, std::size_t offset) {
        const auto at = std::lower_bound(chars_.begin(), chars_.end(), c);
        if (at == chars_.end() || *at != c) {
            std::string shown;
            append_utf8(shown, c);
            throw UsageError(fmt::format(
                "no token for '{}' (U+{:04X}) at byte offset {}: the char tokenizer knows the {} "
                "characters of its corpus; leave it out, or prepare with --tokenizer byte",
                shown, static_cast<std::uint32_t>(c), offset, chars_.size()));
        }
        tokens.push_back(static_cast<std::int32_t>(at - chars_.begin()));
    });
    return tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
    std::string text;
    for (const std::int32_t token : tokens) {
        require(token >= 0, "a negative token");
        if (token >= vocab())
            text += "\xef\xbf\xbd";
        else if (chars_.empty())
            text.push_back(static_cast<char>(token));
        else
            append_utf8(text, chars_[static_cast<std::size_t>(token)]);
    }
    return text;
}

}  // namespace plumb
