#include "mixers/lanes.h"

#include <Eigen/Core>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // false alarms of gcc 12 on AVX-512 intrinsics
#endif

namespace plumb {
namespace {

template <class Real, class F>
Lanes<Real> map(const Lanes<Real>& x, F&& f) {
    using Array = Eigen::Array<Real, kTile, 1>;
    Lanes<Real> y;
    Eigen::Map<Array>(y.data()) = f(Eigen::Map<const Array>(x.data()));
    return y;
}

}  // namespace

template <class Real>
Lanes<Real> Lanes<Real>::exp() const {
    return map(*this, [](const auto& x) { return x.exp(); });
}
template <class Real>
Lanes<Real> Lanes<Real>::sqrt() const {
    return map(*this, [](const auto& x) { return x.sqrt(); });
}
template <class Real>
Lanes<Real> Lanes<Real>::tanh() const {
    if constexpr (sizeof(Real) == sizeof(float))
        return map(*this, [](const auto& x) { return x.tanh(); });
    // Eigen has doubles one by one. Near 0 the continued fraction to the seventh level, exact
    // there.
    const Lanes &x = *this, s = x * x, far = 1 - 2 / ((x + x).exp() + 1),
                near = x * (135135 + s * (17325 + s * (378 + s))) /
                       (135135 + s * (62370 + s * (3150 + s * 28)));
    Lanes y;
    for (int i = 0; i < kVecs; ++i) y.v[i] = s.v[i] >= Real(0.25) ? far.v[i] : near.v[i];
    return y;  // NaN stays NaN
}

template struct Lanes<float>;
template struct Lanes<double>;

}  // namespace plumb
