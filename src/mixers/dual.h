// Dual: a number with its derivatives along a few directions, so that the text of a rule, run with
// Dual instead of a plain number, gives its Jacobian on the way (forward-mode differentiation).
// For rules of a few scalars that are differentiated at every token: no tape (tape.h), no memory.
#pragma once

#include <cmath>

namespace plumb {

inline constexpr int kDualWays = 4;
template <class Real>
struct DualWays;
template <>
struct DualWays<float> {
    typedef float type __attribute__((vector_size(kDualWays * sizeof(float))));
};
template <>
struct DualWays<double> {
    typedef double type __attribute__((vector_size(kDualWays * sizeof(double))));
};

template <class Real>
struct Dual {
    using Ways = typename DualWays<Real>::type;

    Real v;
    Ways d;

    Dual() = default;                          // not initialised
    Dual(Real value) : v(value), d(Ways{}) {}  // a rule's constants become Duals by themselves

    // An input that is differentiated along way k.
    static Dual along(int k, Real value) {
        constexpr Ways kUnit[kDualWays] = {{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}};
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

}  // namespace plumb
