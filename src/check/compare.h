// Comparisons for checks: a check passes only if `difference <= limit`, so that a NaN fails.
#pragma once

#include "core/params.h"
#include "core/view.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace plumb {

template <class T>
std::span<T> numbers(View<T> view) {
    return {view.data, static_cast<std::size_t>(view.count())};
}

// The larger of two differences; a NaN in either stays.
inline double worse(double a, double b) { return std::isnan(a) || a >= b ? a : b; }

// Largest |a - b| over the larger of the largest |b| and `floor` (over 1 if both are all but zero).
template <class A, class B>
double relative_error(std::span<A> a, std::span<B> b, double floor = 0) {
    require(a.size() == b.size(), "relative_error: counts differ");
    double error = 0, scale = floor;
    for (std::size_t i = 0; i < a.size(); ++i) {
        error = worse(error, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
        scale = std::max(scale, std::abs(static_cast<double>(b[i])));
    }
    return error / (scale > 1e-300 ? scale : 1.0);
}

// Whether it is the weight of a read that has no other (static_mix, the first sublayer): the norm
// behind the read removes it, so that its gradient is a sum that cancels.
inline bool is_only_weight(const ParamSpec& spec) {
    return spec.name.ends_with(".mixer.weight") && spec.shape.count() == 1;
}

}  // namespace plumb
