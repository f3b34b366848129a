// What a settings file must be before toml++ sees it. toml++ 3.3 aborts or runs into undefined
// behaviour on some malformed keys and headers, and recurses on nested ones.
#pragma once

#include <string>
#include <string_view>

namespace plumb {

// Throws UsageError naming file, line and what is wrong, unless `text` is UTF-8, its headers and
// keys are well formed, its texts and brackets end, nothing is nested deeper than 8, and every
// value is a text, a list, or letters and digits; dates and inline tables, which no setting takes,
// are refused. What the letters and digits mean is left to toml++.
void check_toml(std::string_view text, const std::string& file);

}  // namespace plumb
