// UTF-8 as RFC 3629 has it: no surrogates, nothing longer than it need be, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace plumb {

struct CodePoint {
    char32_t value = 0;
    std::size_t n_bytes = 0;  // 0: no valid sequence begins there
};

// What begins at byte i < text.size().
CodePoint code_point_at(std::string_view text, std::size_t i);

void append_utf8(std::string& text, char32_t c);

// Offset of the first byte that is not part of valid UTF-8, or nullopt if all is valid.
std::optional<std::size_t> invalid_utf8(std::string_view text);

}  // namespace plumb
