// Text for people: bars, tables, heat maps, one progress line. Works without colour, without
// Unicode and without a terminal.
#pragma once

#include "core/clock.h"
#include "core/text.h"

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

struct Terminal {
    bool interactive = false;  // a person looks at it: lines may be redrawn
    bool colour = false;       // interactive, NO_COLOR is not set (no-color.org), TERM is not dumb
    bool unicode = false;      // the locale says UTF-8
    int width = 80;            // columns

    // What `stream` (stdout, stderr) goes to. COLUMNS overrides the width.
    static Terminal of(std::FILE* stream);
};

// The first `width` columns.
std::string cut_to_width(std::string_view text, int width);

// A bar of exactly `width` columns filled from the left; `fraction` is clamped to [0, 1], NaN is
// empty. signed_bar takes [-1, 1]: a negative one is as long and pale (ASCII: of '-').
std::string bar(double fraction, int width, const Terminal& terminal);
std::string signed_bar(double fraction, int width, const Terminal& terminal);

// One cell of a heat map, `width` columns: value / largest in [-1, 1]; signs differ by colour, or
// by a leading '-'. NaN shows as '?'.
std::string heat_cell(double value, double largest, int width, const Terminal& terminal);

// Columns as wide as their widest cell, two spaces apart. A column is aligned to the right if its
// title starts with '>', which is not shown.
class Table {
public:
    explicit Table(std::vector<std::string> titles);
    // A row; what would act on the terminal is spelled out (core/text.h). Throws InternalError
    // unless there is one cell per title.
    void add(std::vector<std::string> cells);
    // A row whose cells are our own, colours included.
    void add_styled(std::vector<std::string> cells);
    std::string text() const;

private:
    std::vector<bool> right_;
    std::vector<std::vector<std::string>> rows_;
};

// "1.23e-05" in at most 10 columns; "" for NaN.
std::string short_number(double x);

// The progress of a long command: on a terminal one line that is redrawn, with a bar; elsewhere
// each update is a line of its own, so call it as often as a log should grow.
class ProgressLine {
public:
    ProgressLine(std::FILE* out, Terminal terminal) : out_(out), terminal_(terminal) {}
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine() { finish(); }

    void update(double fraction, std::string_view text);
    // A line that stays, above the redrawn one.
    void note(std::string_view text);
    // Leaves the last state on its line.
    void finish();

private:
    void put(const std::string& text);

    std::FILE* out_;
    Terminal terminal_;
    std::string shown_;
};

// The progress of work that may be over in a moment: nothing until `patience` seconds have passed,
// then how much is done and how long the rest takes. On a terminal that is redrawn at every update;
// elsewhere lines come ever more slowly, up to one a minute.
class WorkProgress {
public:
    WorkProgress(std::FILE* out, Terminal terminal, double patience = 2)
        : line_(out, terminal), interactive_(terminal.interactive), wait_(patience) {}

    // Of all the work, and what is being done.
    void update(double fraction, std::string_view text);
    void finish() { line_.finish(); }

private:
    ProgressLine line_;
    bool interactive_;
    double wait_;  // seconds from start_ until the next line
    Clock::time_point start_ = Clock::now();
};

}  // namespace plumb
