#include "ops/linear_decode.h"

#include "core/dispatch.h"

#include <algorithm>
#include <cstring>

namespace plumb {
namespace {

// ---- one tile of y: kRows rows of x times kOuts rows of W ---------------------------------------
// Number (n, o) is summed over In in as many partial sums as a vector has lanes, and these in pairs
// of neighbours: the same order in every tile, whatever kRows and kOuts are.

constexpr Index kBytes = 64;  // of a vector; where registers are shorter, several
constexpr Index kGroup = 4;   // sums that are reduced together

template <class Real>
struct Lanes {
    static constexpr Index n = kBytes / static_cast<Index>(sizeof(Real));
    typedef Real Vector __attribute__((vector_size(kBytes)));
};
template <class Real>
using Vector = typename Lanes<Real>::Vector;

// v = the vector at p; the first n numbers there, then zeros.
template <class Real, class T>
inline void load(Vector<Real>& v, const T* p) {
    if constexpr (std::is_same_v<Real, T>)
        std::memcpy(&v, p, kBytes);
    else
        for (Index i = 0; i < Lanes<Real>::n; ++i) v[i] = p[i];
}
template <class Real, class T>
inline void load(Vector<Real>& v, const T* p, Index n) {
    Real padded[Lanes<Real>::n] = {};
    for (Index i = 0; i < n; ++i) padded[i] = p[i];
    std::memcpy(&v, padded, kBytes);
}

// a = sums of neighbours: of a in the lower half, of b in the upper.
inline void add_neighbours(Vector<float>& a, const Vector<float>& b) {
    a = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
        __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
inline void add_neighbours(Vector<double>& a, const Vector<double>& b) {
    a = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
        __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

// The sums of kGroup vectors, in the first kGroup lanes of s[0]. s is spent.
template <class Real>
inline void reduce(Vector<Real>* s) {
    add_neighbours(s[0], s[1]);
    add_neighbours(s[2], s[3]);
    add_neighbours(s[0], s[2]);
#pragma GCC unroll 4
    for (Index left = Lanes<Real>::n / kGroup; left > 1; left /= 2) add_neighbours(s[0], s[0]);
}

struct Tile {
    Index in, out;         // extents of W
    Index row, first_out;  // where the tile starts
};

// W comes from afar once: the first rows of x to meet kOuts of its rows call for the next kOuts.
template <int kRows, int kOuts, class T>
inline void tile(const Tile& at, const T* x, const RealOf<T>* w, T* y) {
    using Real = RealOf<T>;
    constexpr Index lanes = Lanes<Real>::n;
    const T* rows[kRows];
    const Real* outs[kOuts];
    for (int r = 0; r < kRows; ++r) rows[r] = x + (at.row + r) * at.in;
    for (int o = 0; o < kOuts; ++o)  // beyond the last row of W: that row again, not stored
        outs[o] = w + std::min(at.first_out + o, at.out - 1) * at.in;
    Vector<Real> sum[kRows][kOuts] = {}, a, b[kOuts];
    Index k = 0;
    for (; k + lanes <= at.in; k += lanes) {
#pragma GCC unroll 8
        for (int o = 0; o < kOuts; ++o) {
            load<Real>(b[o], outs[o] + k);
            if (at.row == 0) __builtin_prefetch(outs[o] + kOuts * at.in + k);
        }
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
            load<Real>(a, rows[r] + k);
#pragma GCC unroll 8
            for (int o = 0; o < kOuts; ++o) sum[r][o] += a * b[o];
        }
    }
    if (k < at.in) {
        for (int o = 0; o < kOuts; ++o) load<Real>(b[o], outs[o] + k, at.in - k);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
            load<Real>(a, rows[r] + k, at.in - k);
#pragma GCC unroll 8
            for (int o = 0; o < kOuts; ++o) sum[r][o] += a * b[o];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
        for (int o = 0; o < kOuts; o += kGroup) {
            reduce<Real>(sum[r] + o);
            Real four[Lanes<Real>::n];
            std::memcpy(four, sum[r] + o, kBytes);
            T* to = y + (at.row + r) * at.out + at.first_out + o;
            if (at.first_out + o + kGroup <= at.out)
                for (Index i = 0; i < kGroup; ++i) to[i] = static_cast<T>(four[i]);
            else
                for (Index i = 0; i < at.out - at.first_out - o; ++i)
                    to[i] = static_cast<T>(four[i]);
        }
}

// ---- all rows, some outs ------------------------------------------------------------------------

constexpr Index kOutChunk = 16;  // rows of W that a task takes at least
constexpr int kWide = 8;         // rows of W at once when there is little else to keep in registers

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
void linear_decode(const Context& ctx, View<const T> x, View<const RealOf<T>> w, View<T> y) {
    const Timed timed(ctx.profile, Part::gemm);
    const Index n = x.extent(0), in = w.extent(1), out = w.extent(0);
    require(x.extent(1) == in && y.extent(0) == n && y.extent(1) == out, [&] {
        return fmt::format("linear_decode: x {}, w {}, y {}", x.shape.text(), w.shape.text(),
                           y.shape.text());
    });
    dispatch(ctx, "linear_decode", [&](Cpu) {
        const Index chunks = (out + kOutChunk - 1) / kOutChunk;
#pragma omp parallel for schedule(static) \
    num_threads(ctx.threads) if (ctx.threads > 1 && chunks > 1)
        for (Index i = 0; i < chunks; ++i)
            outs<T>(n, in, out, i * kOutChunk, std::min(out, (i + 1) * kOutChunk), x.data, w.data,
                    y.data);
    });
}

template void linear_decode(const Context&, View<const float>, View<const float>, View<float>);
template void linear_decode(const Context&, View<const double>, View<const double>, View<double>);

}  // namespace plumb
