// What kind a character is, as \p{L}, \p{N} and \s of regular expressions have it.
#pragma once

#include <cstdint>

namespace plumb {

enum class CharClass : std::uint8_t { other, letter, number, space };

// General category L* or N*, or the property White_Space, of the Unicode version that the table
// names; characters that it does not know yet are other.
CharClass char_class(char32_t c);

}  // namespace plumb
