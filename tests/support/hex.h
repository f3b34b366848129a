#pragma once

#include <string>

namespace plumb::test {

// "00ff" -> the two bytes.
inline std::string from_hex(const std::string& digits) {
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        bytes.push_back(static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
    return bytes;
}

}  // namespace plumb::test
