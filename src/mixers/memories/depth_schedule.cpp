#include "mixers/memories/depth_schedule.h"

#include <algorithm>

namespace plumb {

DepthSchedule::DepthSchedule(int sublayers, int block_size, Sizes sizes, const Sees& sees,
                             Sizes most)
    : sublayers_(sublayers), block_size_(block_size) {
    sees_.assign(index(sublayers + 2), 0);
    for (int l = 1; l <= sublayers + 1; ++l)
        for (int i = 0; i < l; ++i)
            sees_[index(l) + static_cast<std::size_t>(i)] =
                (completes_block(i) || i == l - 1) && sees(l, i) ? 1 : 0;
    const auto plan = [](int wanted, int largest, auto&& plan_size, auto&& rows) {
        int best = 1;
        Index fewest = -1;
        for (int size = 1; wanted == 0 && size <= largest; ++size) {
            plan_size(size);
            const Index moved = rows();
            if (fewest < 0 || moved < fewest) fewest = moved, best = size;
        }
        plan_size(wanted > 0 ? std::min(wanted, largest) : best);
    };
    plan(
        sizes.reads, most.reads, [&](int size) { plan_reads(size); },
        [&] {
            Index rows = 0;
            for (int l = 1; l <= sublayers_ + 1; ++l) rows += read_rows(l);
            return rows;
        });
    plan(
        sizes.pulls, most.pulls, [&](int size) { plan_pulls(size); },
        [&] {
            Index rows = 0;
            for (int i = 0; i <= sublayers_; ++i) rows += pull_rows(i);
            return rows;
        });
}

// Whether any of reads first..last reads source i.
bool DepthSchedule::any_sees(int first, int last, int i) const {
    for (int l = std::max(first, i + 1); l <= last; ++l)
        if (sees(l, i)) return true;
    return false;
}

void DepthSchedule::plan_reads(int size) {
    reads_.clear();
    for (int l = 1; l <= sublayers_ + 1; ++l) {
        Read read;
        read.first = (l - 1) / size * size + 1;
        read.last = std::min(read.first + size - 1, sublayers_ + 1);
        for (int i = 0; i < l; ++i) {
            const bool old = i < read.first && completes_block(i);
            if (old && l == read.first && any_sees(l, read.last, i)) read.old.push_back(i);
            if (old && sees(l, i)) read.waits = true;
            if (!old && sees(l, i)) read.fresh.push_back(i);
        }
        reads_.push_back(std::move(read));
    }
}

void DepthSchedule::plan_pulls(int size) {
    pulls_.assign(static_cast<std::size_t>(sublayers_ + 1), {});
    places_.assign(pulls_.size(), -1);
    std::vector<int> complete;  // newest first
    for (int i = sublayers_; i >= 0; --i)
        if (completes_block(i)) complete.push_back(i);
    const int n = static_cast<int>(complete.size());
    const auto source = [&](int k) { return complete[static_cast<std::size_t>(k)]; };
    for (int k = 0; k < n; ++k) {
        Pull& pull = pulls_[static_cast<std::size_t>(source(k))];
        const int newest = k / size * size;
        const int place = k >= size ? source(k - size) : -1;
        int last = sublayers_ + 1;
        pull.sources = {source(k)};
        if (newest > 0) {  // the first group has no older D to share
            if (k == newest)
                for (int j = k + 1; j < std::min(k + size, n); ++j)
                    pull.sources.push_back(source(j));
            else
                last = source(newest), pull.adds = true;
        }
        for (int l = source(k) + 1; l <= last; ++l)
            if (std::any_of(pull.sources.begin(), pull.sources.end(),
                            [&](int i) { return sees(l, i); }))
                pull.readers.push_back(l);
        const int next = k + 1 < n ? source(k + 1) : -1;
        for (int i = source(k); i > next; --i) {  // and the block's partial sums
            places_[static_cast<std::size_t>(i)] = place;
            if (i < source(k)) pulls_[static_cast<std::size_t>(i)] = {{i}, {i + 1}, true};
        }
    }
}

// The newest source is read, or added to the sum before it; then the sources and mixes below.
Index DepthSchedule::read_rows(int l) const {
    const Read& r = read(l);
    const int newest = l - 1;
    Index rows = newest == 0 || starts_block(newest) ? 1 : 3;
    const auto others = [&](const std::vector<int>& list) {
        return std::ssize(list) - (!list.empty() && list.back() == newest);
    };
    const bool merges = l > r.first || !r.fresh.empty();
    if (l == r.first) {
        rows += others(r.old);
        for (int q = merges ? l : l + 1; q <= r.last; ++q) rows += read(q).waits;
    }
    if (merges) rows += r.waits + others(r.fresh);
    return rows;
}

// D_{i+1} is written, later D are read; sources are read, their gradients written or added to.
Index DepthSchedule::pull_rows(int i) const {
    const Pull& p = pull(i);
    return std::ssize(p.readers) + 2 * std::ssize(p.sources) + (p.adds ? 1 : 0);
}

}  // namespace plumb
