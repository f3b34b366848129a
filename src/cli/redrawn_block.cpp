#include "cli/redrawn_block.h"

#include <fmt/format.h>

namespace plumb {

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
    for (const std::string& line : lines_) out += line + "\x1b[K\n";
    put(out + "\x1b[J");
}

void RedrawnBlock::above(const std::string& line) {
    std::string out = home() + (lines_.empty() ? "" : "\x1b[J") + line + "\n";
    for (const std::string& l : lines_) out += l + "\n";
    put(out);
}

}  // namespace plumb
