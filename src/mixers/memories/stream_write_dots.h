// Whether, and how, a GPU takes the dots of X_l in the pass that writes it, on its tensor cores
// (stream_write_dots.cuh): a site's vectors lie in tiles of 8, channels in blocks of 32, and what a
// warp sums up is a slab of 8 blocks.
#pragma once

#include "core/bf16.h"
#include "core/size.h"
#include "mixers/memories/stream_dots.h"

namespace plumb {

struct WriteDots {
    static constexpr int kTile = 8, kBlock = 32, kSlab = 8 * kBlock;

    int tiles = 0;  // for which there is a kernel; 0: dots are products with X
    Index blocks, slabs;

    // Of `streams` rows of bf16, 2 or 4, 16 bytes of which are read at once; so many vectors that
    // their sums fit the registers.
    WriteDots(const StreamDots& dots, int streams, Index channels, bool bf16)
        : blocks((channels + kBlock - 1) / kBlock), slabs((channels + kSlab - 1) / kSlab) {
        if (!bf16 || channels % 8 != 0 || dots.m == 0) return;
        const bool many = dots.end_to_end && streams == 4;
        for (const int n : {1, 3, 4})
            if (tiles == 0 && dots.m <= n * kTile && (n == 1 || many)) tiles = n;
    }
    // Of bf16: the vectors in two parts.
    Index packed_numbers(const StreamDots& dots, int streams) const {
        return (dots.end_to_end ? streams : 1) * blocks * 2 * tiles * kTile * kBlock;
    }
    // Of a token, and of one slab of it.
    Index sums(const StreamDots& dots, int streams) const {
        return tiles > 0 ? slabs * numbers(streams, dots.m, dots.end_to_end) : 0;
    }
    PLUMB_BOTH static constexpr int numbers(int streams, int m, bool end_to_end) {
        return end_to_end ? m + 1 : streams * (m + 2);
    }
};

}  // namespace plumb
