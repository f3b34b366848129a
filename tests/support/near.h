// Numbers that are to be equal up to rounding.
#pragma once

#include "catch.h"
#include "check/compare.h"

#include <limits>
#include <span>
#include <vector>

namespace plumb::test {

inline Catch::Detail::Approx close(double x) { return Catch::Detail::Approx(x).epsilon(1e-12); }

// Relative to the largest number; infinite where one has more numbers than the other.
inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
    return relative_error(std::span<const double>(a), std::span<const double>(b));
}

}  // namespace plumb::test
