// The tile instructions of AMX that attention needs, and their twin in C++, which says what they do
// and runs anywhere. A tile is 16 rows of 64 bytes: 16 floats, or 32 bf16 = 16 pairs. There are
// eight.
//   dot<c, a, b>   c (16, 16 floats) += a b, where a is 16 rows of 32 bf16 and b 32 rows of 16, two
//                  of its rows in one of the tile: pair n of row k is (b[2k][n], b[2k+1][n])
#pragma once

#include "core/view.h"

#include <cstdint>

namespace plumb {
namespace {

using Half = std::uint16_t;         // the bits of a bf16
constexpr Index kTileFloats = 256;  // of a tile, and its pairs
constexpr Index kTileHalves = 512;

#if defined(__x86_64__)
// The operand of ldtilecfg: eight whole tiles.
struct alignas(64) TileShapes {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileShapes kTileShapes{};

// As text for the assembler: the intrinsics of gcc 12 do not say that a load reads memory, so the
// compiler may move what fills it behind them.
class AmxTiles {
public:
    AmxTiles() { asm volatile("ldtilecfg %0" ::"m"(kTileShapes)); }
    ~AmxTiles() { asm volatile("tilerelease"); }
    AmxTiles(const AmxTiles&) = delete;
    AmxTiles& operator=(const AmxTiles&) = delete;

    template <int t>
    void zero() {
        asm volatile("tilezero %%tmm%c0" ::"i"(t));
    }
    // Rows are `stride` bytes apart.
    template <int t>
    void load(const void* from, Index stride = 64) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(t) : "memory");
    }
    template <int t>
    void store(void* to, Index stride = 64) {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(t) : "memory");
    }
    template <int c, int a, int b>
    void dot() {
        asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
    }
};
#endif

class EmulatedTiles {
public:
    template <int t>
    void zero() {
        __builtin_memset(tile_[t], 0, sizeof tile_[t]);
    }
    template <int t>
    void load(const void* from, Index stride = 64) {
        for (Index r = 0; r < 16; ++r)
            __builtin_memcpy(tile_[t][r], static_cast<const char*>(from) + r * stride, 64);
    }
    template <int t>
    void store(void* to, Index stride = 64) {
        for (Index r = 0; r < 16; ++r)
            __builtin_memcpy(static_cast<char*>(to) + r * stride, tile_[t][r], 64);
    }
    template <int c, int a, int b>
    void dot() {
        for (int m = 0; m < 16; ++m) {
            float sum[16];
            __builtin_memcpy(sum, tile_[c][m], sizeof sum);
            for (int k = 0; k < 16; ++k)
                for (int n = 0; n < 16; ++n)
                    sum[n] += first(tile_[a][m][k]) * first(tile_[b][k][n]) +
                              second(tile_[a][m][k]) * second(tile_[b][k][n]);
            __builtin_memcpy(tile_[c][m], sum, sizeof sum);
        }
    }

private:
    static float number(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
    static float first(std::uint32_t pair) { return number(pair << 16); }
    static float second(std::uint32_t pair) { return number(pair & 0xffff0000U); }

    std::uint32_t tile_[8][16][16];
};

}  // namespace
}  // namespace plumb
