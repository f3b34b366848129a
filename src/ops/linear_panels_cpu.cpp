#include "core/simd.h"
#include "ops/linear_panels.h"

namespace plumb {
namespace {

constexpr Index kColumns = 64, kDepth = 32, kPairs = kDepth / 2;  // of a panel, of its blocks

// 64 rows and columns of W, zero past its end. Rows are 64 numbers and two more apart, or columns
// would share few sets of a cache.
struct PanelTile {
    static constexpr Index kStride = kColumns + 2;
    Bf16 x[kColumns * kStride];

    // From w on, of rows of `stride` numbers; down, across: how many rows and numbers of each there
    // are. Those of the next tile across come nearer meanwhile.
    void read(const float* w, Index down, Index across, Index stride) {
        constexpr int kSize = kVec<float>, kLine = kLineBytes / sizeof(float);
        for (Index r = 0; r < kColumns; ++r) {
            Bf16* to = x + r * kStride;
            const float* from = w + r * stride;
            const Index here = r < down ? std::min(kColumns, across) : 0;
            for (Index ahead = kColumns; r < down && ahead < std::min(2 * kColumns, across);
                 ahead += kLine)
                __builtin_prefetch(from + ahead);
            Index c = 0;
            for (; c + kSize <= here; c += kSize)
                store<float>(load<float>(from + c, Full<float>{}), to + c, Full<float>{});
            for (; c < here; ++c) to[c] = from[c];
            for (; c < kColumns; ++c) to[c] = Bf16();
        }
    }

    // A pair of rows beside one another, column by column.
    void rows_to(Index r, Bf16* to) const {
        const Bf16 *even = x + r * kStride, *odd = even + kStride;
        std::uint32_t pairs[kColumns];
        for (Index c = 0; c < kColumns; ++c)
            pairs[c] = even[c].bits | static_cast<std::uint32_t>(odd[c].bits) << 16;
        std::memcpy(static_cast<void*>(to), pairs, sizeof pairs);
    }
    // Four pairs of columns, row by row, a pair 2 kColumns numbers after the other: transposed four
    // by four in registers.
    void columns_to(Index c, Bf16* to) const {
        typedef std::uint32_t Pairs __attribute__((vector_size(16)));
        const auto low = [](Pairs a, Pairs b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); };
        const auto high = [](Pairs a, Pairs b) {
            return __builtin_shufflevector(a, b, 2, 6, 3, 7);
        };
        for (Index r = 0; r < kColumns; r += 4) {
            Pairs row[4], half[4];
            for (Index i = 0; i < 4; ++i)
                std::memcpy(row + i, x + (r + i) * kStride + c, sizeof(Pairs));
            for (Index i = 0; i < 2; ++i) {
                half[i] = low(row[i], row[i + 2]);
                half[i + 2] = high(row[i], row[i + 2]);
            }
            for (Index i = 0; i < 4; ++i) {
                const Pairs *of = half + i / 2 * 2,
                            pairs = i % 2 ? high(of[0], of[1]) : low(of[0], of[1]);
                std::memcpy(static_cast<void*>(to + (i * kColumns + r) * 2), &pairs, sizeof pairs);
            }
        }
    }
};

// Where row k of the panel with column n begins, in B of `depth` rows.
Bf16* panel_row(Bf16* b, Index depth, Index k, Index n) {
    const Index blocks = (depth + kDepth - 1) / kDepth;
    return b + ((n / kColumns * blocks + k / kDepth) * kPairs + k % kDepth / 2) * 2 * kColumns;
}

}  // namespace

void pack_panels(const Context& ctx, const float* w, Index out, Index in, Bf16* forward,
                 Bf16* input) {
    const Index across = (in + kColumns - 1) / kColumns, down = (out + kColumns - 1) / kColumns;
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (ctx.threads > 1)
    for (Index i = 0; i < down * across; ++i) {
        const Index o = i / across * kColumns, c = i % across * kColumns;
        PanelTile tile;
        tile.read(w + o * in + c, out - o, in - c, in);
        const auto there = [](Index k, Index left) { return k / kDepth * kDepth < left; };
        for (Index k = 0; k < kColumns; k += 2)
            if (there(k, out - o)) tile.rows_to(k, panel_row(input, out, o + k, c));
        for (Index k = 0; k < kColumns; k += 8)
            if (there(k, in - c)) tile.columns_to(k, panel_row(forward, in, c + k, o));
    }
}

}  // namespace plumb
