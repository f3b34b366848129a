// Small text helpers shared by errors and tables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// The candidate with the smallest edit distance to `word` ("" if there are none).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// 1234567 -> "1,234,567"
std::string thousands(long long n);

// 1536 -> "1.5 KiB"
std::string human_bytes(double bytes);

// 75 -> "1m15s"
std::string human_seconds(double seconds);

}  // namespace plumb
