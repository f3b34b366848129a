// For tests of matrix products on a device: numbers there, and the bound of a sum.
#pragma once

#include "check/compare.h"
#include "core/bf16.h"
#include "core/device_memory.h"

#include <limits>
#include <vector>

namespace plumb::test {

template <class T>
DeviceArray<T> on_device(Device device, const std::vector<T>& numbers) {
    DeviceArray<T> array(std::ssize(numbers), device);
    put(array.view(), numbers.data());
    return array;
}

// |got - want| over its bound, for k terms of sum |a b| = size summed in Real in any order: a sum
// rounds k times, what is done to it (alpha, beta, adding) three times, and storing it in another
// type once more.
template <class Real, class Out>
double product_error(Out got, long double want, long double size, Index k) {
    const long double unit = std::numeric_limits<Real>::epsilon() / 2;
    const long double bound = static_cast<long double>(k + 3) * unit * size;
    const long double stored = std::is_same_v<Out, Bf16> ? kBf16Epsilon / 2 : 0;
    const auto error = std::abs(static_cast<long double>(RealOf<Out>(got)) - want);
    return static_cast<double>(error / (bound + stored * (std::abs(want) + bound)));
}

}  // namespace plumb::test
