// Small text helpers shared by errors and tables.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// The candidate that `word` was surely meant to be: it differs by a letter or two (at most a third;
// neighbours exchanged count as one), or `word`, of three letters or more, is how it alone begins.
// "" if no candidate is that near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// "; did you mean 'X'?" for the nearest candidate, "" if none is near. Ends an error message.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

// `text` for a terminal: everything that could act on it instead of being shown is spelled out, so
// that a file's content can neither move the cursor nor hide text. Control characters (C0 but line
// feed and tab, DEL, C1), bytes that are not UTF-8 and marks of text direction become \x1b, \xff,
// \u202e. All that comes from files, paths, labels or a model goes through this before it is
// printed.
std::string printable(std::string_view text);
// The same on one line: line feed and tab become \n and \t.
std::string printable_line(std::string_view text);

// `text` as one word of a shell command: as it is, or in quotes.
std::string shell_quoted(std::string_view text);

// Words of `text` in lines of at most `width` columns (a longer word has a line of its own).
std::vector<std::string> wrap(std::string_view text, int width);
// Columns that UTF-8 text takes, one per code point (no wide characters are used here).
int display_width(std::string_view text);

// The finite number that all of `text` is.
std::optional<double> number_in(std::string_view text);

// 1234567 -> "1,234,567"
std::string thousands(long long n);

// 1536 -> "1.5 KiB"
std::string human_bytes(double bytes);

// 75 -> "1m15s"
std::string human_seconds(double seconds);

}  // namespace plumb
