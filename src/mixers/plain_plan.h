// What of a rule is the same for every token: which rows exist, which are copies of others, which
// scalars can be anything but 0, and the operations that make those. The plain memory (plain.h)
// allocates and loops by it.
//
// It is found as the rule leaves its operations behind (scalar_program.h): an entry of A or c that
// does not depend on its inputs is a constant. A row whose only entry is the constant 1 is its
// input, kept: it gets no memory.
#pragma once

#include "mixers/rule.h"

namespace plumb {

class PlainPlan {
public:
    // A row that is written once and read often: v_l for the first L+1 of them, a mix otherwise.
    using Cell = int;

    // Entry `entry` of A or c, weight `at` of its program's, multiplies a cell.
    struct Term {
        Cell cell;
        int entry, at;
    };
    struct Mix {
        int group;
        Cell to = -1;  // of a write
        std::vector<Term> terms;
    };
    struct Site {
        std::vector<Cell> rows;   // of X_l, then v_l
        std::vector<Mix> reads;   // by way and group
        std::vector<Mix> writes;  // new rows, by group
        Dots read_dots, write_dots;
        ScalarProgram read;   // u, numbers -> weights of reads
        ScalarProgram write;  // [u | w], numbers -> weights of writes
        int n_c = 0, n_a = 0;
    };

    explicit PlainPlan(const Rule& rule);

    const Site& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    int n_cells() const { return n_cells_; }
    // Whether the cell is the output of a sublayer (or the embedding), or a mix.
    bool is_output(Cell cell) const { return cell <= sublayers_; }

private:
    using Numbers = std::vector<Traced>;

    Site& at(int l) { return sites_[static_cast<std::size_t>(l - 1)]; }
    Numbers plan_reads(const Rule& rule, int l, const Numbers& c);
    Numbers plan_writes(const Rule& rule, int l, const Numbers& a);

    int sublayers_, n_cells_;
    std::vector<Site> sites_;  // index l - 1
};

}  // namespace plumb
