// Attention of one head with products of bf16 on tiles (ops/amx_tiles.h), what is between in float.
// Scores and weights lie transposed, as in attention_float_tiles.h:
//
// Forward per 32 queries: S = K Q^T of all keys up to them, weights P = e^(S - max), O^T = V^T P.
// Backward per panel of 64 keys: through the queries from there on, S and dP = V dO^T,
// P = e^(S - lse), dS = P (dP - delta), dQ^T += K^T dS; then dV += P dO and dK += dS Q of the panel
// over all its queries, whose P and dS were kept.
//
// A float is a sum of bf16, each the rounding of what those before leave. A product of a float and
// a float is the products of their parts i and j for i + j < the number of parts, the smallest
// first; V and dO are bf16 themselves. So many parts leave the errors of float (kScoreParts: 24
// bits, since an error of a score is multiplied by its exponential) and of what is stored as bf16.
//
// A left operand is a tile of 16 rows and 32 columns; of a right one, 32 rows and 16 columns, two
// rows in one as pairs. `turned` and `paired` make them of rows of floats.
#pragma once

#include "ops/amx_tiles.h"
#include "ops/attention_query_tile.h"

#if PLUMB_LANES == 16 && defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace plumb {
namespace {

constexpr Index kPanel = 64;     // keys
constexpr int kScoreParts = 3;   // of Q and K in S
constexpr int kWeightParts = 2;  // of P, and of dS, K and Q in the gradients
static_assert(kPanel <= kHeadRows && kDropoutBlock % kPanel == 0);

// ---- floats to bf16 -----------------------------------------------------------------------------

// To nearest even, in the upper half of each lane; a NaN stays a NaN. As Bf16(float).
inline Words rounded(Floats x) {
    const Words u = bits(x);
    const Words nearest = u + 0x7fffU + ((u >> 16) & 1U);
    return (x == x ? nearest : u | 0x400000U) & 0xffff0000U;
}
// What rounding leaves.
inline Floats rest(Floats x) { return x - reinterpret_cast<Floats>(rounded(x)); }

#if PLUMB_LANES == 16 && defined(__AVX512BF16__)
inline void store_halves(Half* p, Floats x) {
    const __m256bh h = _mm512_cvtneps_pbh(x);
    __builtin_memcpy(p, &h, sizeof h);
}
// Lane i of a and of b, as a pair.
inline void store_pairs(Half* p, Floats a, Floats b) {
    constexpr auto at = [](int i) { return static_cast<short>(i / 2 + i % 2 * 16); };
    const __m512i in_turn = _mm512_set_epi16(
        at(31), at(30), at(29), at(28), at(27), at(26), at(25), at(24), at(23), at(22), at(21),
        at(20), at(19), at(18), at(17), at(16), at(15), at(14), at(13), at(12), at(11), at(10),
        at(9), at(8), at(7), at(6), at(5), at(4), at(3), at(2), at(1), at(0));
    const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b, a));
    _mm512_storeu_si512(p, _mm512_permutexvar_epi16(in_turn, both));
}
#else
typedef Half Halves __attribute__((vector_size(2 * kLanes)));
inline void store_halves(Half* p, Floats x) {
    const Halves h = __builtin_convertvector(rounded(x) >> 16, Halves);
    __builtin_memcpy(p, &h, sizeof h);
}
inline void store_pairs(Half* p, Floats a, Floats b) {
    const Words pairs = (rounded(a) >> 16) | rounded(b);
    __builtin_memcpy(p, &pairs, sizeof pairs);
}
#endif

// ---- rows of floats as operands -----------------------------------------------------------------

// Operands of the same numbers, one a part.
template <int n>
struct Parts {
    Half* at[n];
    Parts from(Index tiles) const {
        Parts p = *this;
        for (Half*& tile : p.at) tile += tiles * kTileHalves;
        return p;
    }
    template <int fewer>
    Parts<fewer> first() const {
        Parts<fewer> p;
        for (int i = 0; i < fewer; ++i) p.at[i] = at[i];
        return p;
    }
};

template <int n>
inline void store_halves(const Parts<n>& to, Index i, Floats x) {
#pragma GCC unroll 3
    for (int p = 0; p < n; ++p, x = rest(x)) store_halves(to.at[p] + i, x);
}
template <int n>
inline void store_pairs(const Parts<n>& to, Index i, Floats a, Floats b) {
#pragma GCC unroll 3
    for (int p = 0; p < n; ++p, a = rest(a), b = rest(b)) store_pairs(to.at[p] + i, a, b);
}

// Tiles of 32 columns that D has, the last half empty if D is no multiple of 32.
inline Index wide(Index d) { return (d + 31) / 32; }

// Pairs of a tile as floats, whatever they mean: row i, column j -> row j, column i.
template <int n>
inline void turn_pairs(const Parts<n>& tile) {
    for (Half* half : tile.at) {
        float* pairs = reinterpret_cast<float*>(half);
        float turned[kTileFloats];
        turn(pairs, 16, 16, 16, turned, 16);
        __builtin_memcpy(pairs, turned, sizeof turned);
    }
}

// n rows of x (., d) -> left operands (n/16, wide(d)): rows x.
template <int n_parts>
inline void rows_left(const float* x, Index n, Index d, Parts<n_parts> to) {
    for (Index row = 0; row < n; row += 16)
        for (Index first = 0; first < d; first += 32, to = to.from(1))
            for (Index r = 0; r < 16; ++r)
                for (Index c = 0; c < 32; c += kLanes) {
                    const bool there = first + c < d;
                    store_halves(to, 32 * r + c,
                                 there ? load(x + (row + r) * d + first + c) : Floats{});
                }
}
// -> right operands (n/16, wide(d)) of 16 columns each: columns are rows of x, x^T.
template <int n_parts>
inline void turned_right(const float* x, Index n, Index d, Parts<n_parts> to) {
    rows_left(x, n, d, to);
    for (Index i = 0; i < n / 16 * wide(d); ++i) turn_pairs(to.from(i));
}
// -> right operands (n/32, d/16): rows are rows of x.
template <int n_parts>
inline void paired_right(const float* x, Index n, Index d, Parts<n_parts> to) {
    for (Index row = 0; row < n; row += 32)
        for (Index first = 0; first < d; first += 16, to = to.from(1))
            for (Index r = 0; r < 16; ++r)
                for (Index c = 0; c < 16; c += kLanes) {
                    const float* two = x + (row + 2 * r) * d + first + c;
                    store_pairs(to, 32 * r + 2 * c, load(two), load(two + d));
                }
}
// -> left operands (n/32, d/16): rows are columns of x, x^T.
template <int n_parts>
inline void turned_left(const float* x, Index n, Index d, Parts<n_parts> to) {
    paired_right(x, n, d, to);
    for (Index i = 0; i < n / 32 * (d / 16); ++i) turn_pairs(to.from(i));
}

// ---- products -----------------------------------------------------------------------------------

// A result of A by B tiles (each 1 or 2): tiles 0, 1 above 2, 3.
template <class Tiles, int A, int B>
struct Block {
    Tiles& t;

    void zero() {
        t.template zero<0>();
        if constexpr (B > 1) t.template zero<1>();
        if constexpr (A > 1) t.template zero<2>();
        if constexpr (A > 1 && B > 1) t.template zero<3>();
    }
    // y: floats, rows y_row apart.
    void load(const float* y, Index y_row) {
        t.template load<0>(y, 4 * y_row);
        if constexpr (B > 1) t.template load<1>(y + 16, 4 * y_row);
        if constexpr (A > 1) t.template load<2>(y + 16 * y_row, 4 * y_row);
        if constexpr (A > 1 && B > 1) t.template load<3>(y + 16 * y_row + 16, 4 * y_row);
    }
    void store(float* y, Index y_row) {
        t.template store<0>(y, 4 * y_row);
        if constexpr (B > 1) t.template store<1>(y + 16, 4 * y_row);
        if constexpr (A > 1) t.template store<2>(y + 16 * y_row, 4 * y_row);
        if constexpr (A > 1 && B > 1) t.template store<3>(y + 16 * y_row + 16, 4 * y_row);
    }
    // += left (16 A, 32) right (32, 16 B); the second operands lie a_next and b_next after.
    void add(const Half* left, Index a_next, const Half* right, Index b_next) {
        t.template load<4>(left), t.template load<6>(right);
        if constexpr (A > 1) t.template load<5>(left + a_next);
        if constexpr (B > 1) t.template load<7>(right + b_next);
        t.template dot<0, 4, 6>();
        if constexpr (B > 1) t.template dot<1, 4, 7>();
        if constexpr (A > 1) t.template dot<2, 5, 6>();
        if constexpr (A > 1 && B > 1) t.template dot<3, 5, 7>();
    }
};

// f(left part, right part) for the products that count, the smallest first.
template <int a, int b, class F>
[[gnu::always_inline]] inline void for_parts(const Parts<a>& left, const Parts<b>& right, F&& f) {
#pragma GCC unroll 3
    for (int order = a > b ? a - 1 : b - 1; order >= 0; --order)
#pragma GCC unroll 3
        for (int i = 0; i < a; ++i)
            if (order - i >= 0 && order - i < b) f(left.at[i], right.at[order - i]);
}

// s (32, kQueries) = left (32, D) right (D, kQueries): two rows of wide(d) operands each.
template <class Tiles, int n>
inline void scores(Tiles& t, const Parts<n>& left, const Parts<n>& right, Index d, float* s) {
    const Index row = wide(d) * kTileHalves;
    Block<Tiles, 2, 2> y{t};
    y.zero();
    for_parts(left, right, [&](const Half* a, const Half* b) {
        for (Index i = 0; i < row; i += kTileHalves) y.add(a + i, row, b + i, row);
    });
    y.store(s, kQueries);
}

// y (D, kQueries) = or += left (D, 32 n) right (32 n, kQueries): operands (n, d/16) and (n, 2).
template <class Tiles, int A, int a, int b>
inline void over_keys(Block<Tiles, A, 2> block, Parts<a> left, Parts<b> right, Index n, Index row,
                      bool add, float* y) {
    if (add)
        block.load(y, kQueries);
    else
        block.zero();
    for (Index i = 0; i < n; ++i, left = left.from(row), right = right.from(2))
        for_parts(left, right,
                  [&](const Half* l, const Half* r) { block.add(l, kTileHalves, r, kTileHalves); });
    block.store(y, kQueries);
}
template <class Tiles, int a, int b>
inline void over_keys(Tiles& t, const Parts<a>& left, const Parts<b>& right, Index n, Index d,
                      bool add, float* y) {
    Index c = 0;
    for (; c + 32 <= d; c += 32)
        over_keys(Block<Tiles, 2, 2>{t}, left.from(c / 16), right, n, d / 16, add,
                  y + c * kQueries);
    if (c < d)
        over_keys(Block<Tiles, 1, 2>{t}, left.from(c / 16), right, n, d / 16, add,
                  y + c * kQueries);
}

// y (32, D) += left (32, 32 n) right (32 n, D): two operands, `row` after those of the 32 columns
// before, and (n, d/16).
template <class Tiles, int B, int a, int b>
inline void over_queries(Block<Tiles, 2, B> block, Parts<a> left, Index row, Parts<b> right,
                         Index n, Index d, float* y) {
    block.load(y, d);
    for (Index i = 0; i < n; ++i, left = left.from(row), right = right.from(d / 16))
        for_parts(left, right,
                  [&](const Half* l, const Half* r) { block.add(l, kTileHalves, r, kTileHalves); });
    block.store(y, d);
}
template <class Tiles, int a, int b>
inline void over_queries(Tiles& t, const Parts<a>& left, Index row, const Parts<b>& right, Index n,
                         Index d, float* y) {
    Index c = 0;
    for (; c + 32 <= d; c += 32)
        over_queries(Block<Tiles, 2, 2>{t}, left, row, right.from(c / 16), n, d, y + c);
    if (c < d) over_queries(Block<Tiles, 2, 1>{t}, left, row, right.from(c / 16), n, d, y + c);
}

}  // namespace
}  // namespace plumb
