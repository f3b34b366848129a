// bible.data: "EC02", a title up to byte 0x54, then big endian words: the size of a window (65536),
// the number n of windows, and n + 1 offsets. Window i lies from offset i to offset i + 1 and holds
// 65536 bytes of text (the last one fewer), each compressed alone.
//
// `compress` writes codes of b bits, least significant bit first, b = 9 at the beginning. 0..255
// are bytes, 256 (which asks for a new table) ends a window, and every code after the first adds a
// string to the table: the last string and the first byte of this one. b grows when the table is
// full; what is left of a group of eight codes is then skipped.
#include "data/bible_data.h"

#include "core/check.h"

#include <cstdint>
#include <vector>

namespace plumb {
namespace {

constexpr std::size_t kHeader = 0x5c;

[[noreturn]] void fail(const std::string& name, const std::string& what) {
    throw IoError(fmt::format("{}: {}; install the package again", name, what));
}

std::size_t word_at(std::string_view bytes, std::size_t at) {
    std::size_t value = 0;
    for (const char c : bytes.substr(at, 4)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

// Codes of n_bits each. A group is eight codes, hence n_bits bytes.
struct CodeReader {
    std::string_view bytes;
    std::size_t n_bits = 9;
    std::size_t start = 0, at = 0;  // of this width, in bytes; and of the next code, in bits

    // -1 at the end.
    int next() {
        if (8 * start + at + n_bits > 8 * bytes.size()) return -1;
        std::uint32_t code = 0;
        for (std::size_t k = 0; k < n_bits; ++k) {
            const std::size_t bit = 8 * start + at + k;
            code |= (static_cast<unsigned char>(bytes[bit / 8]) >> bit % 8 & 1u) << k;
        }
        at += n_bits;
        return static_cast<int>(code);
    }
    void widen() {
        const std::size_t group = 8 * n_bits;
        start += (at + group - 1) / group * n_bits;
        at = 0;
        ++n_bits;
    }
};

}  // namespace

std::string expand_lzw(std::string_view codes, std::size_t most, const std::string& name) {
    constexpr std::size_t kFirst = 257, kMostBits = 16;
    struct Entry {
        int before;  // the string but its last byte
        char last;
    };
    std::vector<Entry> table(kFirst, {-1, 0});
    for (int c = 0; c < 256; ++c) table[static_cast<std::size_t>(c)] = {-1, static_cast<char>(c)};
    CodeReader reader{codes};
    std::string text, string;
    for (int code = 0, last = -1; (code = reader.next()) >= 0; last = code) {
        const auto known = static_cast<int>(table.size());
        if (code == 256) break;
        if (code > known || (code == known && last < 0)) fail(name, "not LZW codes of `compress`");
        // The string of this code, or, if it is the one that is about to be added, of the last.
        string.clear();
        for (int c = code == known ? last : code; c >= 0;
             c = table[static_cast<std::size_t>(c)].before)
            string.push_back(table[static_cast<std::size_t>(c)].last);
        const char first = string.back();
        if (last >= 0 && table.size() < std::size_t{1} << kMostBits) table.push_back({last, first});
        text.append(string.rbegin(), string.rend());
        if (code == known) text.push_back(first);
        if (text.size() > most) fail(name, "a window is too long");
        if (table.size() == std::size_t{1} << reader.n_bits && reader.n_bits < kMostBits)
            reader.widen();
    }
    return text;
}

std::string read_bible_data(std::string_view bytes, const std::string& name) {
    if (bytes.size() < kHeader + 4 || !bytes.starts_with("EC02"))
        fail(name, "not a data file of bible-kjv-text");
    const std::size_t window = word_at(bytes, 0x54), n = word_at(bytes, 0x58);
    if (window == 0 || window > std::size_t{1} << 24 || n > (bytes.size() - kHeader) / 4 - 1)
        fail(name, "not a data file of bible-kjv-text");
    std::string text;
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t begin = word_at(bytes, kHeader + 4 * i);
        const std::size_t end = word_at(bytes, kHeader + 4 * (i + 1));
        if (begin > end || end > bytes.size()) fail(name, "a window lies outside the file");
        text += expand_lzw(bytes.substr(begin, end - begin), window, name);
        if (i + 1 < n && text.size() != (i + 1) * window) fail(name, "a window is too short");
    }
    const std::size_t title = text.find('\n');
    if (title == std::string::npos) fail(name, "has no text");
    return text.substr(title + 1);
}

}  // namespace plumb
