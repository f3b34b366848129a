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
    return map(*this, [](const auto& x) { return x.tanh(); });
}

template struct Lanes<float>;
template struct Lanes<double>;

}  // namespace plumb
