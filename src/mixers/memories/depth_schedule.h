// DepthSchedule: in which order mixes over depth touch their sources, so that each source is
// fetched few times (the two-phase computation, arXiv:2603.15031 Algorithm 1, and its mirror).
//
// Source i = 0..L is v_0 or the sum of the outputs of i's block up to i. It may be read by all
// later sublayers if it completes its block, else by sublayer i+1 alone; `sees` says who reads what
// of that (a window, every other one).
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

#include <functional>
#include <vector>

namespace plumb {

class DepthSchedule {
public:
    static constexpr int kMaxGroup = 8;

    struct Read {
        int first = 0, last = 0;  // sites of the group
        std::vector<int> old;     // first read of a group: the sources it mixes for all of them
        std::vector<int> fresh;   // sources of this read that its group's first did not mix
        bool waits = false;       // whether it reads any of those its group's first mixes
    };
    struct Pull {
        std::vector<int> sources;  // that this pass pulls for, newest first
        std::vector<int> readers;  // that take part, ascending
        bool adds = false;         // to what an earlier pass, or the block's next source, left
    };
    // Whether l reads source i < l, one of those that it may read.
    using Sees = std::function<bool(int l, int i)>;
    static bool all(int, int) { return true; }
    // Sizes of groups; 0: the best.
    struct Sizes {
        int reads = 0, pulls = 0;
    };

    // Groups are of at most as many as `most` says.
    DepthSchedule(int sublayers, int block_size, Sizes sizes = {0, 0}, const Sees& sees = all,
                  Sizes most = {kMaxGroup, kMaxGroup});

    int sublayers() const { return sublayers_; }
    int block_size() const { return block_size_; }
    bool completes_block(int i) const { return i % block_size_ == 0 || i == sublayers_; }
    bool starts_block(int i) const { return i > 0 && completes_block(i - 1); }
    // Whether l reads source i.
    bool sees(int l, int i) const { return sees_[index(l) + static_cast<std::size_t>(i)] != 0; }

    const Read& read(int l) const { return reads_[static_cast<std::size_t>(l - 1)]; }
    const Pull& pull(int i) const { return pulls_[static_cast<std::size_t>(i)]; }
    // The source whose memory is dead when source i's gradient is first written; -1 if there is
    // none yet.
    int place(int i) const { return places_[static_cast<std::size_t>(i)]; }

    // Rows of C numbers read and written per token by read(l) and by the pull of source i.
    Index read_rows(int l) const;
    Index pull_rows(int i) const;

private:
    std::size_t index(int l) const {
        return static_cast<std::size_t>(l - 1) * static_cast<std::size_t>(sublayers_ + 1);
    }
    bool any_sees(int first, int last, int i) const;
    void plan_reads(int size);
    void plan_pulls(int size);

    int sublayers_, block_size_;
    std::vector<char> sees_;   // (L+1, L+1)
    std::vector<Read> reads_;  // index l - 1
    std::vector<Pull> pulls_;  // index i
    std::vector<int> places_;  // index i
};

}  // namespace plumb
