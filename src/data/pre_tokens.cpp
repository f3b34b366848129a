#include "data/pre_tokens.h"

#include "core/utf8.h"
#include "data/unicode_table.h"

namespace plumb {
namespace {

struct Char {
    CharClass kind = CharClass::other;
    std::size_t n_bytes = 1;
};

Char char_at(std::string_view text, std::size_t i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) return {char_class(byte), 1};
    const CodePoint c = code_point_at(text, i);
    return c.n_bytes == 0 ? Char{} : Char{char_class(c.value), c.n_bytes};
}

// Of 's, 't, 're, 've, 'm, 'll or 'd at byte i; 0: none is there.
std::size_t contraction_size(std::string_view text, std::size_t i) {
    if (text[i] != '\'') return 0;
    for (const std::string_view end : {"s", "t", "re", "ve", "m", "ll", "d"})
        if (text.substr(i + 1).starts_with(end)) return 1 + end.size();
    return 0;
}

// \s+(?!\S)|\s+: white space up to the end of the text, or all but its last character, which may
// belong to the word that follows; that one alone where there is no more.
std::size_t space_end(std::string_view text, std::size_t begin) {
    std::size_t end = begin, last = begin;
    while (end < text.size()) {
        const Char c = char_at(text, end);
        if (c.kind != CharClass::space) break;
        last = end;
        end += c.n_bytes;
    }
    return end == text.size() || last == begin ? end : last;
}

}  // namespace

std::size_t pre_token_end(std::string_view text, std::size_t begin) {
    if (const std::size_t n = contraction_size(text, begin); n > 0) return begin + n;
    std::size_t end = begin;
    if (text[begin] == ' ' && begin + 1 < text.size()) ++end;  // " ?" of a word
    const CharClass kind = char_at(text, end).kind;
    if (kind == CharClass::space) return space_end(text, begin);
    for (Char c; end < text.size() && (c = char_at(text, end)).kind == kind;) end += c.n_bytes;
    return end;
}

}  // namespace plumb
