// The end of a file that somebody else may be writing.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace plumb {

// The last `most` bytes of a plain file; "" if there is none.
std::string file_end(const std::filesystem::path& path, std::size_t most);

// The last line that is whole, without its line feed.
std::string last_line(const std::filesystem::path& path, std::size_t most);

}  // namespace plumb
