#include "core/text.h"

#include "core/utf8.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <sstream>

namespace plumb {
namespace {

// Letters inserted, left out, changed, or exchanged with their neighbour.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i)
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            const std::size_t change = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[a.size()][b.size()];
}

// The only candidate that begins with `word`; "" if none or several do.
std::string completed(std::string_view word, const std::vector<std::string>& candidates) {
    std::string found;
    for (const std::string& c : candidates) {
        if (!c.starts_with(word)) continue;
        if (!found.empty()) return "";
        found = c;
    }
    return found;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    constexpr std::size_t kLongest = 100;  // nobody's typing error; the table is quadratic
    if (word.size() > kLongest) return "";
    std::string best;
    std::size_t best_distance = std::numeric_limits<std::size_t>::max();
    for (const std::string& c : candidates) {
        if (c.empty() || c.size() > kLongest) continue;
        const std::size_t d = edit_distance(word, c), longer = std::max(word.size(), c.size());
        if (d <= std::max<std::size_t>(longer / 3, 1) && d < longer && d < best_distance)
            best_distance = d, best = c;
    }
    return best.empty() && word.size() >= 3 ? completed(word, candidates) : best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
    const std::string best = nearest(word, candidates);
    return best.empty() ? "" : fmt::format("; did you mean '{}'?", best);
}

namespace {

bool acts_on_terminal(char32_t c) {
    const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    const bool direction = c == 0x061c || c == 0x200e || c == 0x200f ||
                           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    const bool breaks_line = c == 0x2028 || c == 0x2029;
    return control || direction || breaks_line;
}

std::string spelled_out(std::string_view text, bool keep_lines) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        const std::size_t n = std::max<std::size_t>(c.n_bytes, 1);
        if (c.n_bytes == 0)
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at]));
        else if (c.value == '\n' || c.value == '\t')
            out += keep_lines ? text.substr(at, 1) : c.value == '\n' ? "\\n" : "\\t";
        else if (acts_on_terminal(c.value))
            out += c.value < 0x100 ? fmt::format("\\x{:02x}", static_cast<unsigned>(c.value))
                                   : fmt::format("\\u{:04x}", static_cast<unsigned>(c.value));
        else
            out += text.substr(at, n);
        at += n;
    }
    return out;
}

}  // namespace

std::string printable(std::string_view text) { return spelled_out(text, true); }
std::string printable_line(std::string_view text) { return spelled_out(text, false); }

std::string shell_quoted(std::string_view text) {
    const auto plain = [](char c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return letter || (c >= '0' && c <= '9') ||
               std::string_view("_-./=,:@%+").find(c) != std::string_view::npos ||
               static_cast<unsigned char>(c) >= 0x80;
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return std::string(text);
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
    return out + "'";
}

int display_width(std::string_view text) {
    return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

std::vector<std::string> wrap(std::string_view text, int width) {
    std::vector<std::string> lines(1);
    std::istringstream words{std::string(text)};
    for (std::string word; words >> word;) {
        std::string& line = lines.back();
        if (line.empty())
            line = word;
        else if (display_width(line) + 1 + display_width(word) <= width)
            line += " " + word;
        else
            lines.push_back(word);
    }
    return lines;
}

std::optional<double> number_in(std::string_view text) {
    double number = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    if (error != std::errc() || end != last || !std::isfinite(number)) return std::nullopt;
    return number;
}

std::string thousands(long long n) {
    std::string s = fmt::format("{}", n < 0 ? -n : n);
    for (auto i = static_cast<std::ptrdiff_t>(s.size()) - 3; i > 0; i -= 3)
        s.insert(static_cast<std::size_t>(i), ",");
    return n < 0 ? "-" + s : s;
}

std::string human_bytes(double bytes) {
    constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t u = 0;
    while (bytes >= 1024.0 && u + 1 < units.size()) bytes /= 1024.0, ++u;
    return fmt::format("{:.{}f} {}", bytes, u == 0 ? 0 : 1, units[u]);
}

std::string human_seconds(double seconds) {
    const auto s = static_cast<long long>(std::llround(seconds));
    if (s < 60) return fmt::format("{}s", s);
    if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
    return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
}

}  // namespace plumb
