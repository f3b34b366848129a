// Character vectors out of an R lazy-load database (data/Rdata.rdb of a package), without R.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// One entry per object in file order, each the lines of a character vector. Throws IoError if the
// bytes are not a zlib-compressed lazy-load database of plain character vectors; `name` is the file
// for the message.
std::vector<std::vector<std::string>> read_r_lines(std::string_view rdb, const std::string& name);

}  // namespace plumb
