// What `plumb sweep run` and `plumb sweep status --watch` show: on a terminal a block that is
// redrawn, elsewhere lines.
#pragma once

#include "cli/redrawn_block.h"
#include "cli/terminal.h"
#include "sweep/sweep_runner.h"

#include <cstdio>
#include <string>
#include <vector>

namespace plumb {

// The block, in lines of at most `terminal.width` columns. file: for what to type.
std::vector<std::string> board_lines(const SweepSnapshot& s, const std::string& file,
                                     const Terminal& terminal);
// "23/60 done, 2 running, 1 failed, 0 diverged, 35 queued, ETA 22m00s, best 1.3967 attnres s1"
std::string board_line(const SweepSnapshot& s);

class SweepBoard {
public:
    // quiet: only what is important is shown.
    SweepBoard(std::FILE* out, Terminal terminal, std::string file, bool quiet)
        : block_(out), terminal_(terminal), file_(std::move(file)), quiet_(quiet) {}

    // A line that stays, with the time.
    void event(const std::string& text, bool important);
    // On a terminal twice a second; elsewhere ever more slowly, up to one in ten minutes.
    bool due();
    void show(const SweepSnapshot& snapshot);
    // Leaves the last board on the screen.
    void finish() { block_.finish(); }

private:
    RedrawnBlock block_;
    Terminal terminal_;
    std::string file_;
    bool quiet_;
    Clock::time_point start_ = Clock::now(), next_ = start_ + std::chrono::seconds(15);
};

}  // namespace plumb
