// Lanes: a scalar of kTile tokens side by side, so that the scalars of a tile of tokens are
// computed in SIMD registers. In memory lane t of number i is number i * kTile + t.
#pragma once

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

    Real* data() { return reinterpret_cast<Real*>(&v); }
    const Real* data() const { return reinterpret_cast<const Real*>(&v); }

private:
    Lanes exp() const;
    Lanes sqrt() const;
    Lanes tanh() const;
};

}  // namespace plumb
