// The text in bible.data of Debian's package bible-kjv-text, decoded from its description instead
// of by the package's program.
#pragma once

#include <string>
#include <string_view>

namespace plumb {

// One verse a line with its reference, "Ge1:1 In the beginning ..."; the file's title line is left
// out. Throws IoError if the bytes are not such a file; `name` is the file for the message.
std::string read_bible_data(std::string_view bytes, const std::string& name);

// One window of it: the codes of Unix `compress` (LZW, codes of 9 to 16 bits) without the three
// bytes that begin a .Z file. At most `most` bytes. Throws IoError.
std::string expand_lzw(std::string_view codes, std::size_t most, const std::string& name);

}  // namespace plumb
