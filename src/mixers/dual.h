// Dual: a number with its derivatives along a few directions, so that the text of a rule, run with
// Dual instead of a plain number, gives its Jacobian on the way (forward-mode differentiation). For
// rules of a few scalars, and for the engine that others are held against (reference.h): it shares
// nothing with the transposes of a scalar program.
#pragma once

#include "core/view.h"

#include <algorithm>
#include <cmath>

namespace plumb {

inline constexpr int kDualDirections = 4;
template <class Real>
struct DualDirections;
template <>
struct DualDirections<float> {
    typedef float type __attribute__((vector_size(kDualDirections * sizeof(float))));
};
template <>
struct DualDirections<double> {
    typedef double type __attribute__((vector_size(kDualDirections * sizeof(double))));
};

template <class Real>
struct Dual {
    using Directions = typename DualDirections<Real>::type;

    Real v;
    Directions d;

    Dual() = default;  // not initialised
    Dual(Real value)
        : v(value), d(Directions{}) {}  // a rule's constants become Duals by themselves

    // An input that is differentiated along direction k.
    static Dual along(int k, Real value) {
        constexpr Directions kUnit[kDualDirections] = {{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}};
        Dual out(value);
        out.d = kUnit[k];
        return out;
    }
    // f of a, of a and b: the value, the derivatives.
    static Dual made(Real value, const Dual& a, Real da) {
        Dual out(value);
        out.d = da * a.d;
        return out;
    }
    static Dual made(Real value, const Dual& a, Real da, const Dual& b, Real db) {
        Dual out(value);
        out.d = da * a.d + db * b.d;
        return out;
    }

    friend Dual operator+(const Dual& a, const Dual& b) { return made(a.v + b.v, a, 1, b, 1); }
    friend Dual operator-(const Dual& a, const Dual& b) { return made(a.v - b.v, a, 1, b, -1); }
    friend Dual operator-(const Dual& a) { return made(-a.v, a, -1); }
    friend Dual operator*(const Dual& a, const Dual& b) { return made(a.v * b.v, a, b.v, b, a.v); }
    friend Dual operator/(const Dual& a, const Dual& b) {
        const Real inverse = 1 / b.v;
        return made(a.v * inverse, a, inverse, b, -a.v * inverse * inverse);
    }
    friend Dual& operator+=(Dual& a, const Dual& b) { return a = a + b; }
    friend Dual& operator*=(Dual& a, const Dual& b) { return a = a * b; }
    friend Dual& operator/=(Dual& a, const Dual& b) { return a = a / b; }

    friend Dual exp(const Dual& a) {
        const Real e = std::exp(a.v);
        return made(e, a, e);
    }
    friend Dual sqrt(const Dual& a) {
        const Real s = std::sqrt(a.v);
        return made(s, a, Real(0.5) / s);
    }
    friend Dual tanh(const Dual& a) {
        const Real t = std::tanh(a.v);
        return made(t, a, 1 - t * t);
    }
    friend double value(const Dual& a) { return static_cast<double>(a.v); }
};

using DualNumber = Dual<double>;

// dLoss/dx of n inputs x, kDualDirections at a time: loss() runs on x and gives the loss'
// derivatives.
template <class Real, class Loss>
void gradient_by_duals(Index n, Dual<Real>* x, Loss&& loss, Real* dx) {
    for (Index first = 0; first < n; first += kDualDirections) {
        const int directions = static_cast<int>(std::min<Index>(kDualDirections, n - first));
        for (int k = 0; k < directions; ++k) x[first + k] = Dual<Real>::along(k, x[first + k].v);
        const auto d = loss();
        for (int k = 0; k < directions; ++k) {
            dx[first + k] = d[k];
            x[first + k] = x[first + k].v;
        }
    }
}

}  // namespace plumb
