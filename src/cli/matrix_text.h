// What `plumb matrix` prints.
#pragma once

#include "cli/matrix_file.h"
#include "cli/terminal.h"
#include "mixers/layout.h"

namespace plumb {

struct MatrixView {
    double tolerance = kRankTolerance;  // of a rank
    bool weights = false;               // the map shows M though the file has shares
    int top = 2;                        // sources named beside a row of the map
};

// `layout` below is of the run that wrote the file.

// Heat map, ranks and figures. The map shows shares, which can be compared between mixers, where
// the file has them, else M.
std::string matrix_text(const MatrixFile& file, const Layout& layout, const MatrixView& view,
                        const Terminal& terminal);

// One read, l = 1..L+1: its `top` largest sources (0: all) with share and weight.
std::string matrix_row_text(const MatrixFile& file, const Layout& layout, Index l, int top);

std::string matrix_json(const MatrixFile& file, double tolerance);

}  // namespace plumb
