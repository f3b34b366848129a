#include "cli/terminal.h"

#include "core/check.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace plumb {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

bool locale_is_utf8() {
    std::string locale;
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
        if (locale.empty()) locale = environment(name);
    std::transform(locale.begin(), locale.end(), locale.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

bool continues_code_point(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::string repeat(std::string_view text, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += text;
    return out;
}

}  // namespace

Terminal Terminal::of(std::FILE* stream) {
    Terminal t;
    const int fd = ::fileno(stream);
    t.interactive = ::isatty(fd) == 1;
    t.colour = t.interactive && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
    t.unicode = locale_is_utf8();
    winsize size{};
    if (t.interactive && ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        t.width = size.ws_col;
    const int columns = std::atoi(environment("COLUMNS").c_str());
    if (columns > 0) t.width = columns;
    t.width = std::max(t.width, 20);
    return t;
}

std::string cut_to_width(std::string_view text, int width) {
    std::size_t at = 0;
    for (int columns = 0; at < text.size(); ++at)
        if (!continues_code_point(text[at]) && ++columns > width) break;
    return std::string(text.substr(0, at));
}

std::string bar(double fraction, int width, const Terminal& terminal) {
    if (width <= 0) return "";
    const double filled = std::isnan(fraction) ? 0 : std::clamp(fraction, 0.0, 1.0);
    if (!terminal.unicode) {
        const int n = static_cast<int>(std::lround(filled * width));
        return repeat("#", n) + repeat(" ", width - n);
    }
    constexpr std::array eighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const auto n = static_cast<int>(std::lround(filled * width * 8));
    const std::string part = eighths[static_cast<std::size_t>(n % 8)];
    return repeat("█", n / 8) + part + repeat(" ", width - n / 8 - (part.empty() ? 0 : 1));
}

std::string signed_bar(double fraction, int width, const Terminal& terminal) {
    if (!(fraction < 0)) return bar(fraction, width, terminal);
    if (width <= 0) return "";
    const double filled = std::min(-fraction, 1.0);
    const int n = std::max(1, static_cast<int>(std::lround(filled * width)));
    return repeat(terminal.unicode ? "░" : "-", n) + repeat(" ", width - n);
}

std::string heat_cell(double value, double largest, int width, const Terminal& terminal) {
    if (!std::isfinite(value)) return repeat("?", width);
    const double share = largest > 0 ? std::min(std::abs(value) / largest, 1.0) : 0;
    const auto level = [share](std::size_t n_levels) {
        const double at = std::ceil(share * static_cast<double>(n_levels - 1));
        return static_cast<std::size_t>(at);
    };
    if (terminal.colour) {
        // xterm colours from near black: to yellow, or to cyan for negative weights.
        constexpr std::array warm{234, 52, 88, 124, 160, 196, 202, 208, 214, 220, 226};
        constexpr std::array cold{234, 17, 18, 19, 20, 21, 27, 33, 39, 45, 51};
        const int colour = value < 0 ? cold[level(cold.size())] : warm[level(warm.size())];
        return fmt::format("\x1b[48;5;{}m{}\x1b[0m", colour, repeat(" ", width));
    }
    constexpr std::array shades{"·", "░", "▒", "▓", "█"};
    constexpr std::array ascii{".", ":", ";", "=", "+", "*", "#", "%", "@"};
    const std::string shade =
        terminal.unicode ? shades[level(shades.size())] : ascii[level(ascii.size())];
    if (value < 0 && width > 1) return "-" + repeat(shade, width - 1);
    return repeat(value < 0 ? "-" : shade, width);
}

Table::Table(std::vector<std::string> titles) {
    for (std::string& title : titles) {
        right_.push_back(title.starts_with('>'));
        if (right_.back()) title.erase(0, 1);
    }
    rows_.push_back(std::move(titles));
}

void Table::add(std::vector<std::string> cells) {
    for (std::string& cell : cells) cell = printable_line(cell);
    add_styled(std::move(cells));
}

void Table::add_styled(std::vector<std::string> cells) {
    require(cells.size() == right_.size(), "a table row needs one cell per title");
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    std::vector<int> widths(right_.size(), 0);
    for (const auto& row : rows_)
        for (std::size_t c = 0; c < row.size(); ++c)
            widths[c] = std::max(widths[c], display_width(row[c]));
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c) {
            const std::string pad = repeat(" ", widths[c] - display_width(row[c]));
            line += (c ? "  " : "") + (right_[c] ? pad + row[c] : row[c] + pad);
        }
        out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return out;
}

std::string short_number(double x) { return std::isnan(x) ? "" : fmt::format("{:.3g}", x); }

// A full disk under the log ends no training; main() says at the end that output was lost.
void ProgressLine::put(const std::string& text) {
    std::fputs(text.c_str(), out_);
    std::fflush(out_);
}

void ProgressLine::update(double fraction, std::string_view text) {
    if (!terminal_.interactive) {
        put(fmt::format("{}\n", text));
        return;
    }
    constexpr int kBar = 16;
    shown_ = cut_to_width("[" + bar(fraction, kBar, terminal_) + "] " + std::string(text),
                          terminal_.width - 1);
    put(fmt::format("\r{}\x1b[K", shown_));
}

void ProgressLine::note(std::string_view text) {
    put(fmt::format("{}{}\n{}", shown_.empty() ? "" : "\r\x1b[K", printable(text), shown_));
}

void ProgressLine::finish() {
    if (!shown_.empty()) put("\n");
    shown_.clear();
}

void WorkProgress::update(double fraction, std::string_view text) {
    constexpr double kLongestWait = 60;
    const double seconds = seconds_since(start_);
    if (seconds < wait_) return;
    if (!interactive_) wait_ = seconds + std::min(seconds, kLongestWait);
    const std::string left =
        fraction > 0 ? ", ETA " + human_seconds(seconds * (1 - fraction) / fraction) : "";
    line_.update(fraction, fmt::format("{:.0f}%{} | {}", 100 * fraction, left, text));
}

}  // namespace plumb
