#include "ops/linear_decode.h"

#include "ops/depth_mix.h"

#include <algorithm>

namespace plumb {
namespace {

constexpr int kGroup = 4;  // rows of W that meet 4 rows of x; their sums stay in registers
constexpr int kWide = 8;   // rows of W at once when there is but one row of x

struct Tile {
    Index in, out;         // extents of W
    Index row, first_out;  // where the tile starts
};

// One tile of y: kRows rows of x times kOuts rows of W. The order in which a number is summed is
// the same in every tile. W comes from afar once: the first rows of x to meet kOuts of its rows
// call for the next kOuts.
template <int kRows, int kOuts, class T>
inline void tile(const Tile& at, const T* x, const RealOf<T>* w, T* y) {
    using Real = RealOf<T>;
    const T* rows[kRows];
    const Real* outs[kOuts];
    for (int r = 0; r < kRows; ++r) rows[r] = x + (at.row + r) * at.in;
    for (int o = 0; o < kOuts; ++o)  // beyond the last row of W: that row again, not stored
        outs[o] = w + std::min(at.first_out + o, at.out - 1) * at.in;
    Real sums[kRows * kOuts];
    const bool first = at.row == 0;
    const Index next = kOuts * at.in;
    tiles::dots<kRows, kOuts>(rows, outs, at.in, sums, kOuts, [&](int o, Index k) {
        if (first) __builtin_prefetch(outs[o] + next + k);
    });
    for (int r = 0; r < kRows; ++r)
        std::copy_n(sums + r * kOuts, std::min<Index>(kOuts, at.out - at.first_out),
                    y + (at.row + r) * at.out + at.first_out);
}

// ---- all rows, some outs ------------------------------------------------------------------------

constexpr Index kOutChunk = 16;  // rows of W that a task takes at least

// kOuts rows of W meet every row of x while they are in the first cache.
template <class T>
void outs(Index n, Index in, Index out, Index begin, Index end, const T* x, const RealOf<T>* w,
          T* y) {
    if (n == 1) {
        for (Index o = begin; o < end; o += kWide) tile<1, kWide>({in, out, 0, o}, x, w, y);
        return;
    }
    for (Index o = begin; o < end; o += kGroup) {
        Index r = 0;
        for (; r + 4 <= n; r += 4) tile<4, kGroup>({in, out, r, o}, x, w, y);
        if (n - r == 3) tile<3, kGroup>({in, out, r, o}, x, w, y);
        if (n - r == 2) tile<2, kGroup>({in, out, r, o}, x, w, y);
        if (n - r == 1) tile<1, kGroup>({in, out, r, o}, x, w, y);
    }
}

}  // namespace

template <class T>
void linear_decode(Cpu, const Context& ctx, View<const T> x, View<const RealOf<T>> w, View<T> y) {
    const Index n = x.extent(0), in = w.extent(1), out = w.extent(0);
    const Index chunks = (out + kOutChunk - 1) / kOutChunk;
#pragma omp parallel for schedule(static) \
    num_threads(ctx.threads) if (ctx.threads > 1 && chunks > 1)
    for (Index i = 0; i < chunks; ++i)
        outs<T>(n, in, out, i * kOutChunk, std::min(out, (i + 1) * kOutChunk), x.data, w.data,
                y.data);
}

template void linear_decode(Cpu, const Context&, View<const float>, View<const float>, View<float>);
template void linear_decode(Cpu, const Context&, View<const double>, View<const double>,
                            View<double>);

}  // namespace plumb
