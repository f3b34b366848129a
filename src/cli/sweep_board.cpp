#include "cli/sweep_board.h"

#include <algorithm>
#include <cmath>
#include <ctime>

namespace plumb {
namespace {

constexpr std::size_t kMostRunning = 16, kMostFailed = 5;

std::string counts_text(const SweepSnapshot& s) {
    const SweepCounts& c = s.counts;
    std::string text = fmt::format("{}/{} done, {} running, {} failed, {} diverged, {} queued",
                                   c.done, c.total, c.running, c.failed, c.diverged, c.queued);
    if (c.culled > 0) text += fmt::format(", {} culled", c.culled);
    if (c.elsewhere > 0) text += fmt::format(", {} elsewhere", c.elsewhere);
    return text;
}

std::string outlook(const SweepSnapshot& s) {
    std::string text;
    if (!std::isnan(s.eta_s) && s.counts.queued + s.counts.running > 0)
        text += "ETA " + human_seconds(s.eta_s);
    if (!s.best.empty()) text += (text.empty() ? "best " : ", best ") + s.best;
    return text;
}

// Lines of words; a word is a part that stays together.
std::vector<std::string> flow(const std::vector<std::string>& parts, int width) {
    std::vector<std::string> lines;
    for (const std::string& part : parts) {
        if (part.empty()) continue;
        if (!lines.empty() && display_width(lines.back()) + 2 + display_width(part) <= width)
            lines.back() += "  " + part;
        else
            lines.push_back((lines.empty() ? "" : "  ") + part);
    }
    for (std::string& line : lines) line = cut_to_width(line, width);
    return lines;
}

std::vector<std::string> parts_of(const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(", ", at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 2;
    }
    return parts;
}

std::vector<std::string> running_lines(const SweepSnapshot::Running& r, int name_width, int width) {
    const std::string name = printable_line(r.name);
    const std::string pad(static_cast<std::size_t>(std::max(0, name_width - display_width(name))),
                          ' ');
    std::vector<std::string> parts{name + pad};
    parts.push_back(r.step < 0 ? "starting" : fmt::format("step {}/{}", r.step, r.steps));
    if (r.loss) parts.push_back(fmt::format("loss {:.4g}", *r.loss));
    if (r.tokens_per_s > 0)
        parts.push_back(thousands(static_cast<long long>(r.tokens_per_s)) + " tok/s");
    parts.push_back(printable_line(r.where));
    std::vector<std::string> lines = flow(parts, width - 2);
    for (std::string& line : lines) line = "  " + line;
    return lines;
}

}  // namespace

std::string board_line(const SweepSnapshot& s) {
    const std::string out = outlook(s);
    return counts_text(s) + (out.empty() ? "" : ", " + out);
}

std::vector<std::string> board_lines(const SweepSnapshot& s, const std::string& file,
                                     const Terminal& terminal) {
    const int width = terminal.width - 1;
    std::vector<std::string> parts{printable_line(s.name) + "  [" +
                                   bar(s.fraction, width < 70 ? 12 : 18, terminal) + "]"};
    for (const std::string& text : {counts_text(s), printable_line(outlook(s))})
        for (std::string& part : parts_of(text)) parts.push_back(std::move(part));
    std::vector<std::string> lines = flow(parts, width);
    int name_width = 0;
    for (const auto& r : s.running) name_width = std::max(name_width, display_width(r.name));
    name_width = std::min(name_width, width / 2);
    for (std::size_t i = 0; i < std::min(s.running.size(), kMostRunning); ++i)
        for (std::string& line : running_lines(s.running[i], name_width, width))
            lines.push_back(std::move(line));
    if (s.running.size() > kMostRunning)
        lines.push_back(fmt::format("  and {} more", s.running.size() - kMostRunning));
    // The newest failures, those that are final first.
    std::vector<SweepSnapshot::Failed> failed = s.failed;
    std::stable_sort(failed.begin(), failed.end(),
                     [](const auto& a, const auto& b) { return a.final > b.final; });
    for (std::size_t i = 0; i < std::min(failed.size(), kMostFailed); ++i) {
        const auto& f = failed[i];
        const std::string attempt =
            f.attempts > 0 ? fmt::format(" (attempt {} of {})", f.attempt, f.attempts) : "";
        const std::string text = fmt::format("failed: {}{}: {}", f.name, attempt, f.why);
        for (const std::string& line : wrap(printable_line(text), width - 2))
            lines.push_back(cut_to_width("  " + line, width));
    }
    if (!failed.empty())
        lines.push_back(cut_to_width(
            "  plumb sweep status " + printable_line(shell_quoted(file)) + " --failed", width));
    return lines;
}

void SweepBoard::event(const std::string& text, bool important) {
    if ((quiet_ || terminal_.interactive) && !important) return;
    block_.above(time_of_day() + "  " + printable_line(text));
}

bool SweepBoard::due() {
    if (quiet_) return false;
    const auto now = Clock::now();
    if (now < next_ && !(terminal_.interactive && block_.empty())) return false;
    constexpr auto kLongest = std::chrono::minutes(10);
    next_ = now + (terminal_.interactive ? Clock::duration(std::chrono::milliseconds(500))
                                         : std::min<Clock::duration>(now - start_, kLongest));
    return true;
}

void SweepBoard::show(const SweepSnapshot& snapshot) {
    if (terminal_.interactive) return block_.show(board_lines(snapshot, file_, terminal_));
    block_.above(time_of_day() + "  " + printable_line(board_line(snapshot)));
}

}  // namespace plumb
