// What the kernels of attention that go in tiles share: 32 queries of a head lie in lanes, their
// scores and weights transposed (key, query), so that nothing is summed across lanes.
#pragma once

#include "ops/attention_head.h"
#include "ops/attention_lanes.h"

namespace plumb {
namespace {

constexpr Index kQueries = 32;  // of a tile

// Scores s (32, kQueries) of the keys of the diagonal: those after the query are out.
inline void mask_diagonal(float* s) {
    for (Index j = 1; j < kQueries; ++j)
        for (Index i = 0; i < j; ++i) s[j * kQueries + i] = -__builtin_inff();
}

// keep (kDropoutBlock, kQueries): factors of keys first .. for queries q0 .., one a lane.
inline void draw_mask(const FloatHead& h, Index q0, Index first, float* rows, float* keep) {
    for (Index i = 0; i < kQueries; ++i)
        dropout_factors(*h.dropout, h.mask_row + q0 + i, first / kDropoutBlock,
                        rows + i * kDropoutBlock);
    turn(rows, kDropoutBlock, kQueries, kDropoutBlock, keep, kQueries);
}

// out = o / sum for the queries from q0 on that there are; o (D, kQueries) is overwritten, rows
// (kQueries, D) is scratch.
inline void write_out(const FloatHead& h, Index q0, float* o, float* rows) {
    const Index d = h.head_dim;
    for (Index c = 0; c < kQueries; c += kLanes) {
        const Floats scale = 1.0F / load(h.sum + q0 + c);
        for (Index i = 0; i < d; ++i)
            store(o + i * kQueries + c, scale * load(o + i * kQueries + c));
    }
    turn(o, kQueries, d, kQueries, rows, d);
    for (Index i = 0; i < kQueries && q0 + i < h.context; ++i)
        __builtin_memcpy(h.out + (q0 + i) * h.out_stride, rows + i * d,
                         static_cast<std::size_t>(d) * sizeof(float));
}

}  // namespace
}  // namespace plumb
