// The passes over a head in tiles of bf16: attention_bf16_tiles.h says how.
#pragma once

#include "ops/attention_bf16_tiles.h"

namespace plumb {
namespace {

// Hands out scratch; without memory it counts.
struct Taken {
    float* memory;
    Index count = 0;

    float* floats(Index n) {
        float* p = memory ? memory + count : nullptr;
        count += n;
        return p;
    }
    template <int parts>
    Parts<parts> tiles(Index n) {
        Parts<parts> p;
        for (Half*& at : p.at) at = reinterpret_cast<Half*>(floats(n * kTileFloats));
        return p;
    }
};

// Of a thread, both passes: of 32 queries, and the mask of dropout.
struct TileMemory {
    float *o, *rows, *mask, *keep;
    TileMemory(Taken& m, Index d)
        : o(m.floats(kQueries * d)),
          rows(m.floats(kQueries * d)),
          mask(m.floats(kQueries * kDropoutBlock)),
          keep(m.floats(kQueries * kDropoutBlock)) {}
};

// ---- forward ------------------------------------------------------------------------------------

struct ForwardMemory : TileMemory {
    Parts<kScoreParts> k, q;  // left (T/16, wide(d)); turned, right (2, wide(d))
    Parts<1> v;               // turned, left (T/32, d/16)
    Parts<kWeightParts> p;    // right (T/32, 2)
    float* scores;            // (T, kQueries)
    ForwardMemory(Taken& m, Index n, Index d)
        : TileMemory(m, d),
          k(m.tiles<kScoreParts>(n / 16 * wide(d))),
          q(m.tiles<kScoreParts>(2 * wide(d))),
          v(m.tiles<1>(n / 32 * (d / 16))),
          p(m.tiles<kWeightParts>(n / 32 * 2)),
          scores(m.floats(n * kQueries)) {}
};

// Largest of the scores (n, kQueries).
inline void largest(const float* s, Index n, float* max) {
    for (Index c = 0; c < kQueries; c += kLanes) {
        Floats most = load(s + c);
        for (Index j = 1; j < n; ++j) most = larger(load(s + j * kQueries + c), most);
        store(max + c, most);
    }
}

// Scores of 32 keys -> two right operands of weights e^(score - max), dropped where keep is not
// null; sum += of them before that.
inline void weigh_paired(const float* s, const float* max, const float* keep, float* sum,
                         const Parts<kWeightParts>& right) {
    for (Index c = 0; c < kQueries; c += kLanes) {
        const Floats most = load(max + c);
        Floats total{};
        Index to = c / 16 * kTileHalves + c % 16 * 2;
        for (Index at = c; at < 32 * kQueries; at += 2 * kQueries, to += 32) {
            Floats a = exp(load(s + at) - most), b = exp(load(s + at + kQueries) - most);
            total += a + b;
            if (keep) a *= load(keep + at), b *= load(keep + at + kQueries);
            store_pairs(right, to, a, b);
        }
        store(sum + c, load(sum + c) + total);
    }
}

template <class Tiles>
void forward(const FloatHead& h) {
    const Index d = h.head_dim, rows = head_rows(h.context);
    Taken taken{h.scratch};
    const ForwardMemory m(taken, rows, d);
    rows_left(h.k, rows, d, m.k), turned_left(h.v, rows, d, m.v);
    Tiles tiles;
    for (Index q0 = 0; q0 < h.context; q0 += kQueries) {
        const Index n = q0 + kQueries;
        turned_right(h.q + q0 * d, kQueries, d, m.q);
        for (Index j = 0; j < n; j += 32)
            scores(tiles, m.k.from(j / 16 * wide(d)), m.q, d, m.scores + j * kQueries);
        mask_diagonal(m.scores + q0 * kQueries);
        float *max = h.max + q0, *sum = h.sum + q0;
        largest(m.scores, n, max);
        __builtin_memset(sum, 0, kQueries * sizeof(float));
        for (Index j = 0; j < n; j += 32) {
            if (h.dropout && j % kDropoutBlock == 0) draw_mask(h, q0, j, m.mask, m.keep);
            weigh_paired(m.scores + j * kQueries, max,
                         h.dropout ? m.keep + j % kDropoutBlock * kQueries : nullptr, sum,
                         m.p.from(j / 16));
        }
        over_keys(tiles, m.v, m.p, n / 32, d, false, m.o);
        write_out(h, q0, m.o, m.rows);
    }
}

// ---- backward -----------------------------------------------------------------------------------

struct BackwardMemory : TileMemory {
    Parts<kScoreParts> k, q;      // left (T/16, wide(d)); turned, right (T/16, wide(d))
    Parts<1> v, dout;             // the same of V and dO
    Parts<kWeightParts> kt, qp;   // turned, left (T/32, d/16); paired, right (T/32, d/16)
    Parts<1> doutp;               // the same of dO
    Parts<1> p;                   // of a panel: left (T/32, 4)
    Parts<kWeightParts> ds, dsp;  // the same; right (2, 2)
    float *s, *g, *dqt;           // (32, kQueries) twice; (T/32, D, kQueries)
    BackwardMemory(Taken& m, Index n, Index d)
        : TileMemory(m, d),
          k(m.tiles<kScoreParts>(n / 16 * wide(d))),
          q(m.tiles<kScoreParts>(n / 16 * wide(d))),
          v(m.tiles<1>(n / 16 * wide(d))),
          dout(m.tiles<1>(n / 16 * wide(d))),
          kt(m.tiles<kWeightParts>(n / 32 * (d / 16))),
          qp(m.tiles<kWeightParts>(n / 32 * (d / 16))),
          doutp(m.tiles<1>(n / 32 * (d / 16))),
          p(m.tiles<1>(n / 32 * 4)),
          ds(m.tiles<kWeightParts>(n / 32 * 4)),
          dsp(m.tiles<kWeightParts>(4)),
          s(m.floats(32 * kQueries)),
          g(m.floats(32 * kQueries)),
          dqt(m.floats(n * d)) {}

    void pack(const FloatHead& h, Index n) const {
        const Index d = h.head_dim;
        rows_left(h.k, n, d, k), turned_right(h.q, n, d, q);
        rows_left(h.v, n, d, v), turned_right(h.dout, n, d, dout);
        turned_left(h.k, n, d, kt), paired_right(h.q, n, d, qp);
        paired_right(h.dout, n, d, doutp);
    }
};

// Of 32 keys: scores s and gradients g of dropped weights (32, kQueries) -> two left operands of
// dropped weights p and of gradients of scores ds, and the latter as two right ones, dsp.
inline void weigh_back_packed(const float* lse, const float* delta, const float* keep,
                              const float* s, const float* g, const Parts<1>& p,
                              const Parts<kWeightParts>& ds, const Parts<kWeightParts>& dsp) {
    for (Index c = 0; c < kQueries; c += kLanes) {
        const Floats l = load(lse + c), e = load(delta + c);
        Index pairs = c / 16 * kTileHalves + c % 16 * 2;
        for (Index j = 0; j < 32; j += 2, pairs += 32) {
            Floats d[2];
            for (Index u = 0; u < 2; ++u) {
                const Index at = (j + u) * kQueries + c;  // as in a left operand
                Floats w = exp(load(s + at) - l), of_weight = load(g + at);
                if (keep) of_weight *= load(keep + at);
                d[u] = w * (of_weight - e);
                if (keep) w *= load(keep + at);
                store_halves(p, at, w), store_halves(ds, at, d[u]);
            }
            store_pairs(dsp, pairs, d[0], d[1]);
        }
    }
}

// Keys k0 .. of a panel, queries q0 ..: `blocks` of 32 keys, the last on the diagonal if k0 + 32
// (blocks - 1) is q0.
template <class Tiles>
void panel_tile(Tiles& t, const FloatHead& h, const BackwardMemory& m, Index k0, Index q0,
                Index blocks) {
    const Index d = h.head_dim, w = wide(d);
    if (h.dropout) draw_mask(h, q0, k0 / kDropoutBlock * kDropoutBlock, m.mask, m.keep);
    for (Index b = 0; b < blocks; ++b) {
        const Index key = k0 + 32 * b, at = key / 16 * w, to = q0 / 16 * w;
        const Index kept = q0 / 32 * 4 + 2 * b;
        scores(t, m.k.from(at), m.q.from(to), d, m.s);
        scores(t, m.v.from(at), m.dout.from(to), d, m.g);
        if (key == q0) mask_diagonal(m.s);
        weigh_back_packed(h.lse + q0, h.delta + q0,
                          h.dropout ? m.keep + key % kDropoutBlock * kQueries : nullptr, m.s, m.g,
                          m.p.from(kept), m.ds.from(kept), m.dsp.from(2 * b));
    }
    over_keys(t, m.kt.from(k0 / 32 * (d / 16)), m.dsp, blocks, d, k0 > 0, m.dqt + q0 * d);
}

template <class Tiles>
void backward(const FloatHead& h) {
    const Index d = h.head_dim, rows = head_rows(h.context);
    const Index end = (h.context + kQueries - 1) / kQueries * kQueries;
    Taken taken{h.scratch};
    const BackwardMemory m(taken, rows, d);
    m.pack(h, rows);
    Tiles tiles;
    for (Index k0 = 0; k0 < end; k0 += kPanel) {
        for (Index q0 = k0; q0 < end; q0 += kQueries)
            panel_tile(tiles, h, m, k0, q0, q0 == k0 ? 1 : 2);
        for (Index b = 0; b < 2 && k0 + 32 * b < end; ++b) {
            const Index key = k0 + 32 * b, n = (end - key) / 32, to = key / 32;
            const Index kept = to * 4 + 2 * b, row = to * (d / 16);
            over_queries(tiles, m.p.from(kept), 4, m.doutp.from(row), n, d, h.dv + key * d);
            over_queries(tiles, m.ds.from(kept), 4, m.qp.from(row), n, d, h.dk + key * d);
        }
    }
    for (Index q0 = 0; q0 < end; q0 += kQueries)
        turn(m.dqt + q0 * d, kQueries, d, kQueries, h.dq + q0 * d, d);
}

Index scratch_numbers(Index context, Index d) {
    const Index rows = head_rows(context);
    Taken forward{nullptr}, backward{nullptr};
    ForwardMemory(forward, rows, d), BackwardMemory(backward, rows, d);
    return forward.count < backward.count ? backward.count : forward.count;
}

}  // namespace
}  // namespace plumb
