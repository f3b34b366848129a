// DepthSchedule: in which order attention residuals touch their sources, so that each source is
// fetched few times (the two-phase computation, arXiv:2603.15031 Algorithm 1, and its mirror).
//
// Source i = 0..L is v_0 or the sum of the outputs of i's block up to i. It is read by all later
// sublayers if it completes its block, else by sublayer i+1 alone.
//
// Forward: sites (reads) form groups. The group's first read mixes the sources that are complete by
// then for all queries of the group at once; a later read of the group adds its fresh sources.
// Backward: complete sources form groups. The pull of the group's newest source serves all sources
// of the group from the D that exist by then; the pull of an older one adds the D since.
//
// The size of the groups is the one that moves the fewest rows, at most kMaxGroup: about sqrt(L)
// for full attention residuals (5 at L=24, 7 at L=48), the block for block ones.
#pragma once

#include "core/view.h"

#include <vector>

namespace plumb {

class DepthSchedule {
public:
    static constexpr int kMaxGroup = 8;

    struct Read {
        int first = 0, last = 0;  // sites of the group
        std::vector<int> old;     // first read of a group: the sources it mixes for all of them
        std::vector<int> fresh;   // sources of this read that its group's first did not mix
    };
    struct Pull {
        std::vector<int> sources;  // that this pass pulls for, newest first
        int last = 0;              // readers i+1..last take part
        bool adds = false;         // to what an earlier pass, or the block's next source, left
    };

    DepthSchedule(int sublayers, int block_size);
    // With groups of `reads` sites and `pulls` sources.
    DepthSchedule(int sublayers, int block_size, int reads, int pulls);

    int sublayers() const { return sublayers_; }
    int block_size() const { return block_size_; }
    bool completes_block(int i) const { return rank(i) >= 0; }
    bool starts_block(int i) const { return i > 0 && completes_block(i - 1); }
    // Number of complete sources older than i; -1 if i does not complete its block.
    int rank(int i) const { return ranks_[static_cast<std::size_t>(i)]; }
    // The source that holds v_i when sublayer l > i reads.
    int holder(int i, int l) const;

    const Read& read(int l) const { return reads_[static_cast<std::size_t>(l - 1)]; }
    const Pull& pull(int i) const { return pulls_[static_cast<std::size_t>(i)]; }
    // The source whose memory is dead when source i's gradient is first written; -1 if there is
    // none yet.
    int place(int i) const { return places_[static_cast<std::size_t>(i)]; }

    // Rows of C numbers read and written per token by read(l) and by the pull of source i.
    Index read_rows(int l) const;
    Index pull_rows(int i) const;

private:
    void rank_sources();
    void plan_reads(int size);
    void plan_pulls(int size);

    int sublayers_, block_size_;
    std::vector<Read> reads_;  // index l - 1
    std::vector<Pull> pulls_;  // index i
    std::vector<int> places_;  // index i
    std::vector<int> ranks_;   // index i
};

}  // namespace plumb
