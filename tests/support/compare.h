// Comparisons that pass only if `difference <= tolerance`, so that a NaN fails.
#pragma once

#include "core/view.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace plumb::test {

// Largest |a - b| over the largest |b| (or 1 where b is all but zero). NaN if any difference is.
template <class A, class B>
double relative_error(std::span<A> a, std::span<B> b) {
    require(a.size() == b.size(), "relative_error: counts differ");
    double worst = 0, scale = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        worst = d <= worst ? worst : d;  // a NaN stays
        scale = std::max(scale, std::abs(static_cast<double>(b[i])));
    }
    return worst / (scale > 1e-300 ? scale : 1.0);
}

template <class T>
std::span<T> numbers(View<T> view) {
    return {view.data, static_cast<std::size_t>(view.count())};
}

}  // namespace plumb::test
