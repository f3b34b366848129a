#include "core/utf8.h"

namespace plumb {

CodePoint code_point_at(std::string_view text, std::size_t i) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || i + n > text.size()) return {};
    char32_t value = lead & (0x7fu >> n);
    for (std::size_t k = 1; k < n; ++k) {
        if ((byte(k) & 0xc0) != 0x80) return {};
        value = value << 6 | (byte(k) & 0x3fu);
    }
    constexpr char32_t kShortest[]{0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < kShortest[n] || value > 0x10ffff || surrogate) return {};
    return {value, n};
}

void append_utf8(std::string& text, char32_t c) {
    const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (c < 0x80) return put(c);
    const int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    put((0xf00u >> n & 0xff) | c >> 6 * (n - 1));
    for (int k = n - 2; k >= 0; --k) put(0x80 | (c >> 6 * k & 0x3f));
}

std::optional<std::size_t> invalid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t n = code_point_at(text, i).n_bytes;
        if (n == 0) return i;
        i += n;
    }
    return std::nullopt;
}

}  // namespace plumb
