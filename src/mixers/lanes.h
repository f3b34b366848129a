// Lanes: a scalar of kTile tokens side by side, so that the scalars of a tile of tokens are
// computed in SIMD registers. In memory lane t of number i is number i * kTile + t.
#pragma once

#include "core/context.h"

#include <algorithm>

namespace plumb {

inline constexpr int kTile = 16;  // tokens; divides kTokenChunk

template <class Real>
struct Lanes {
    typedef Real Numbers __attribute__((vector_size(kTile * sizeof(Real))));
    Numbers v;

    Lanes() = default;  // {}: zeros
    Lanes(double x) : v(Numbers{} + static_cast<Real>(x)) {}
    explicit Lanes(const Numbers& x) : v(x) {}

    friend Lanes operator+(const Lanes& a, const Lanes& b) { return Lanes(a.v + b.v); }
    friend Lanes operator-(const Lanes& a, const Lanes& b) { return Lanes(a.v - b.v); }
    friend Lanes operator-(const Lanes& a) { return Lanes(-a.v); }
    friend Lanes operator*(const Lanes& a, const Lanes& b) { return Lanes(a.v * b.v); }
    friend Lanes operator/(const Lanes& a, const Lanes& b) { return Lanes(a.v / b.v); }
    Lanes& operator+=(const Lanes& b) { return v += b.v, *this; }
    Lanes& operator-=(const Lanes& b) { return v -= b.v, *this; }
    Lanes& operator*=(const Lanes& b) { return v *= b.v, *this; }
    Lanes& operator/=(const Lanes& b) { return v /= b.v, *this; }

    friend Lanes max(const Lanes& a, const Lanes& b) { return Lanes(a.v > b.v ? a.v : b.v); }
    friend Lanes exp(const Lanes& a) { return a.exp(); }
    friend Lanes sqrt(const Lanes& a) { return a.sqrt(); }
    friend Lanes tanh(const Lanes& a) { return a.tanh(); }
    friend const Lanes& value(const Lanes& x) { return x; }

    Real total() const {  // of the lanes, in pairs
        Numbers sum = v;
        for (int n = kTile / 2; n > 0; n /= 2)
            for (int t = 0; t < n; ++t) sum[t] += sum[t + n];
        return sum[0];
    }

    Real* data() { return reinterpret_cast<Real*>(&v); }
    const Real* data() const { return reinterpret_cast<const Real*>(&v); }

private:
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
