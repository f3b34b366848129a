// Lanes: a scalar of kTile tokens side by side, so that the scalars of a tile of tokens are
// computed in SIMD registers. In memory lane t of number i is number i * kTile + t.
#pragma once

#include "core/context.h"
#include "core/simd.h"

#include <algorithm>

namespace plumb {

inline constexpr int kTile = 16;  // tokens; divides kTokenChunk

template <class Real>
struct Lanes {
    static constexpr int kVecs = kTile / kVec<Real>;
    // Not one longer vector: what a register does not hold, GCC 12 moves in words of 8 bytes.
    // Aligned as one: in files for a GPU, whose Vecs may be shorter, too.
    alignas(kTile * sizeof(Real)) Vec<Real> v[kVecs];

    Lanes() = default;  // {}: zeros
    Lanes(double x) {
        for (Vec<Real>& a : v) a = Vec<Real>{} + static_cast<Real>(x);
    }

    friend Lanes operator+(const Lanes& a, const Lanes& b) {
        return each([](auto x, auto y) { return x + y; }, a, b);
    }
    friend Lanes operator-(const Lanes& a, const Lanes& b) {
        return each([](auto x, auto y) { return x - y; }, a, b);
    }
    friend Lanes operator-(const Lanes& a) {
        return each([](auto x, auto) { return -x; }, a, a);
    }
    friend Lanes operator*(const Lanes& a, const Lanes& b) {
        return each([](auto x, auto y) { return x * y; }, a, b);
    }
    friend Lanes operator/(const Lanes& a, const Lanes& b) {
        return each([](auto x, auto y) { return x / y; }, a, b);
    }
    Lanes& operator+=(const Lanes& b) { return *this = *this + b; }
    Lanes& operator-=(const Lanes& b) { return *this = *this - b; }
    Lanes& operator*=(const Lanes& b) { return *this = *this * b; }
    Lanes& operator/=(const Lanes& b) { return *this = *this / b; }

    friend Lanes max(const Lanes& a, const Lanes& b) {
        return each([](auto x, auto y) { return x > y ? x : y; }, a, b);
    }
    friend Lanes exp(const Lanes& a) { return a.exp(); }
    friend Lanes sqrt(const Lanes& a) { return a.sqrt(); }
    friend Lanes tanh(const Lanes& a) { return a.tanh(); }
    friend const Lanes& value(const Lanes& x) { return x; }

    Real total() const {  // of the lanes, in pairs
        Real sum[kTile];
        std::copy_n(data(), kTile, sum);
        for (int n = kTile / 2; n > 0; n /= 2)
            for (int t = 0; t < n; ++t) sum[t] += sum[t + n];
        return sum[0];
    }

    Real* data() { return reinterpret_cast<Real*>(v); }
    const Real* data() const { return reinterpret_cast<const Real*>(v); }

private:
    template <class F>
    static Lanes each(F&& f, const Lanes& a, const Lanes& b) {
        Lanes y;
        for (int i = 0; i < kVecs; ++i) y.v[i] = f(a.v[i], b.v[i]);
        return y;
    }
    Lanes exp() const;
    Lanes sqrt() const;
    Lanes tanh() const;
};

// Up to kTile tokens of a chunk; `index` counts all tiles.
struct Tile {
    Index begin;
    int n;
    Index index, chunk;

    // Lanes without a token repeat the last: nothing that is no number comes of them.
    template <class Real>
    void fill(Index count, Lanes<Real>* x) const {
        for (Index i = 0; i < count; ++i)
            std::fill(x[i].data() + n, x[i].data() + kTile, x[i].data()[n - 1]);
    }
};
inline constexpr int kTilesPerChunk = kTokenChunk / kTile;
static_assert(kTokenChunk % kTile == 0);
inline Index n_tiles(Index n_tokens) { return (n_tokens + kTile - 1) / kTile; }

// f(tile) for those of a chunk of tokens [begin, end), in order.
template <class F>
void for_tiles(Index begin, Index end, Index chunk, F&& f) {
    for (Index i = begin; i < end; i += kTile)
        f(Tile{i, static_cast<int>(std::min<Index>(kTile, end - i)), i / kTile, chunk});
}

}  // namespace plumb
