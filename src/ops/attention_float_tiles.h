// Attention of one head in float, for any CPU with vectors and FMA: 32 queries lie in lanes, scores
// and weights transposed (key, query), so that nothing is summed across lanes, and a key's or a
// value's number is broadcast. All products are one kernel, which keeps a block of its result in
// registers; the scores of 32 queries stay in the first caches.
//
// Forward per 32 queries: S = K Q^T of all keys up to them, weights e^(S - max), O^T = V^T P.
// Backward goes through the keys in chunks: S and dP = V dO^T again, P = e^(S - lse),
// dS = P (dP - delta), then dQ^T += K^T dS, dV += P dO, dK += dS Q.
// Flops per pair of query and key: 4 D and 10 D, plus the upper half of the blocks on the diagonal.
#pragma once

#include "ops/attention_query_tile.h"

namespace plumb {
namespace {

constexpr Index kChunk = 64;  // keys that are handled at once
static_assert(kChunk <= kHeadRows && kDropoutBlock % kChunk == 0);

// ---- products -----------------------------------------------------------------------------------

// Number (r, i) of a matrix: at[r row + i step].
struct Left {
    const float* at;
    Index row, step;
};

// y (R, V kLanes), rows y_row apart, = or += left (R, depth) times x (depth, V kLanes). What is
// added to comes last: the numbers of one product are summed among themselves.
template <int R, int V>
inline void block(Left left, const float* x, Index x_row, Index depth, bool add, float* y,
                  Index y_row) {
    Floats sum[R][V]{};
    for (Index i = 0; i < depth; ++i) {
        Floats b[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) b[v] = load(x + i * x_row + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const Floats a = all(left.at[r * left.row + i * left.step]);
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) sum[r][v] += a * b[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
            float* to = y + r * y_row + v * kLanes;
            store(to, add ? load(to) + sum[r][v] : sum[r][v]);
        }
}

// The same of any even number of rows.
template <int V>
inline void columns(Index rows, Left left, const float* x, Index x_row, Index depth, bool add,
                    float* y, Index y_row) {
    constexpr int kRows = kLanes == 16 ? 8 : 6;  // 16 of 32 or 12 of 16 registers are sums
    const auto next = [&](Index n) { left.at += n * left.row, y += n * y_row, rows -= n; };
    for (; rows >= kRows; next(kRows)) block<kRows, V>(left, x, x_row, depth, add, y, y_row);
    for (; rows >= 4; next(4)) block<4, V>(left, x, x_row, depth, add, y, y_row);
    for (; rows > 0; next(2)) block<2, V>(left, x, x_row, depth, add, y, y_row);
}

// y (rows, cols) = or += left (rows, depth) times x (depth, cols); cols is a multiple of 16.
inline void product(Index rows, Index cols, Index depth, Left left, const float* x, Index x_row,
                    bool add, float* y, Index y_row) {
    Index c = 0;
    for (; c + 2 * kLanes <= cols; c += 2 * kLanes)
        columns<2>(rows, left, x + c, x_row, depth, add, y + c, y_row);
    if (c < cols) columns<1>(rows, left, x + c, x_row, depth, add, y + c, y_row);
}

// ---- a tile of queries --------------------------------------------------------------------------

// y (n, kQueries) *= x
inline void multiply(const float* x, float* y, Index n) {
    for (Index i = 0; i < n * kQueries; i += kLanes) store(y + i, load(x + i) * load(y + i));
}

// Scores p (n, kQueries) -> e^(p - max); max and sum (kQueries) of each query. The sums of 16 keys
// are summed: n small numbers one after the other would lose some.
inline void weigh(float* p, Index n, float* max, float* sum) {
    for (Index c = 0; c < kQueries; c += kLanes) {
        Floats most = load(p + c), total{};
        for (Index j = 1; j < n; ++j) most = larger(load(p + j * kQueries + c), most);
        for (Index j = 0; j < n; j += 16) {
            Floats part{};
            for (Index u = j; u < j + 16; ++u) {
                const Floats w = exp(load(p + u * kQueries + c) - most);
                store(p + u * kQueries + c, w);
                part += w;
            }
            total += part;
        }
        store(max + c, most), store(sum + c, total);
    }
}

// Scores p and gradients g of dropped weights (n, kQueries) -> dropped weights and gradients of the
// scores; keep: null or the mask's factors.
inline void weigh_back(const float* lse, const float* delta, const float* keep, Index n, float* p,
                       float* g) {
    for (Index c = 0; c < kQueries; c += kLanes) {
        const Floats l = load(lse + c), e = load(delta + c);
        for (Index at = c; at < n * kQueries; at += kQueries) {
            const Floats w = exp(load(p + at) - l);
            if (keep) {
                const Floats k = load(keep + at);
                store(p + at, k * w), store(g + at, w * (k * load(g + at) - e));
            } else {
                store(p + at, w), store(g + at, w * (load(g + at) - e));
            }
        }
    }
}

// ---- a head -------------------------------------------------------------------------------------

Index scratch_numbers(Index context, Index d) {
    const Index keys = context + kQueries, chunks = 2 * kChunk;
    return kQueries * ((keys < chunks ? chunks : keys) + 3 * d + 2 * kDropoutBlock);
}

void forward(const FloatHead& h) {
    const Index d = h.head_dim;
    float *qt = h.scratch, *ot = qt + kQueries * d, *o = ot + kQueries * d;
    float *mask = o + kQueries * d, *keep = mask + kQueries * kDropoutBlock;
    float* p = keep + kQueries * kDropoutBlock;  // (keys, kQueries)
    for (Index q0 = 0; q0 < h.context; q0 += kQueries) {
        const Index n = q0 + kQueries;
        turn(h.q + q0 * d, d, kQueries, d, qt, kQueries);
        for (Index j = 0; j < n; j += kChunk)
            product(n - j < kChunk ? n - j : kChunk, kQueries, d, {h.k + j * d, d, 1}, qt, kQueries,
                    false, p + j * kQueries, kQueries);
        mask_diagonal(p + q0 * kQueries);
        weigh(p, n, h.max + q0, h.sum + q0);
        for (Index j = 0; h.dropout && j < n; j += kDropoutBlock) {
            draw_mask(h, q0, j, mask, keep);
            multiply(keep, p + j * kQueries, n - j < kDropoutBlock ? n - j : kDropoutBlock);
        }
        for (Index j = 0; j < n; j += kChunk)
            product(d, kQueries, n - j < kChunk ? n - j : kChunk, {h.v + j * d, 1, d},
                    p + j * kQueries, kQueries, j > 0, ot, kQueries);
        write_out(h, q0, ot, o);
    }
}

void backward(const FloatHead& h) {
    const Index d = h.head_dim;
    float *qt = h.scratch, *doutt = qt + kQueries * d, *dqt = doutt + kQueries * d;
    float *mask = dqt + kQueries * d, *keep = mask + kQueries * kDropoutBlock;
    float *p = keep + kQueries * kDropoutBlock, *g = p + kChunk * kQueries;  // (kChunk, kQueries)
    for (Index q0 = 0; q0 < h.context; q0 += kQueries) {
        const float *q = h.q + q0 * d, *dout = h.dout + q0 * d;
        turn(q, d, kQueries, d, qt, kQueries), turn(dout, d, kQueries, d, doutt, kQueries);
        for (Index j = 0; j < q0 + kQueries; j += kChunk) {
            const Index left = q0 + kQueries - j, n = left < kChunk ? left : kChunk;
            product(n, kQueries, d, {h.k + j * d, d, 1}, qt, kQueries, false, p, kQueries);
            product(n, kQueries, d, {h.v + j * d, d, 1}, doutt, kQueries, false, g, kQueries);
            if (left <= kChunk) mask_diagonal(p + (n - kQueries) * kQueries);
            if (h.dropout && j % kDropoutBlock == 0) draw_mask(h, q0, j, mask, keep);
            weigh_back(h.lse + q0, h.delta + q0,
                       h.dropout ? keep + j % kDropoutBlock * kQueries : nullptr, n, p, g);
            product(d, kQueries, n, {h.k + j * d, 1, d}, g, kQueries, j > 0, dqt, kQueries);
            product(n, d, kQueries, {p, kQueries, 1}, dout, d, true, h.dv + j * d, d);
            product(n, d, kQueries, {g, kQueries, 1}, q, d, true, h.dk + j * d, d);
        }
        turn(dqt, kQueries, d, kQueries, h.dq + q0 * d, d);
    }
}

}  // namespace
}  // namespace plumb
