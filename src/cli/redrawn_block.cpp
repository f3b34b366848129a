#include "cli/redrawn_block.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

namespace plumb {
namespace {

// Lines that the terminal shows at once; 0: not known.
std::size_t height_of(std::FILE* out) {
    winsize size{};
    return ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

}  // namespace

std::string RedrawnBlock::home() const {
    return lines_.empty() ? "" : fmt::format("\x1b[{}A\r", lines_.size());
}

// A full disk under the log ends no work; main() says at the end that output was lost.
void RedrawnBlock::put(const std::string& text) {
    std::fputs(text.c_str(), out_);
    std::fflush(out_);
}

void RedrawnBlock::show(std::vector<std::string> lines) {
    std::string out = home();
    lines_ = std::move(lines);
    // What has scrolled out of sight cannot be drawn again.
    if (const std::size_t height = height_of(out_); height > 1 && lines_.size() >= height) {
        const std::size_t more = lines_.size() - (height - 2);
        lines_.resize(height - 2);
        lines_.push_back(fmt::format("  and {} more lines", more));
    }
    for (const std::string& line : lines_) out += line + "\x1b[K\n";
    put(out + "\x1b[J");
}

void RedrawnBlock::above(const std::string& line) {
    std::string out = home() + (lines_.empty() ? "" : "\x1b[J") + line + "\n";
    for (const std::string& l : lines_) out += l + "\n";
    put(out);
}

}  // namespace plumb
