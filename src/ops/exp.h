// exp as straight-line code, so that a loop that needs it may do everything else in the same pass
// and still vectorise.
#pragma once

#include "core/simd.h"
#include "ops/exp_polynomial.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace plumb {

// e^x within 1.3 units in the last place for x in [-87.33, 88.72], the range of normal floats; 0
// below, infinity above; NaN stays. The ends are masks of bits, not ?:, of which gcc 12 makes
// branches.
inline float fast_exp(float x) {
    const auto [shifted, p] = exp_parts(x);
    // 2^k is added to the exponent of p.
    const std::uint32_t bits =
        std::bit_cast<std::uint32_t>(p) + (std::bit_cast<std::uint32_t>(shifted) << 23);
    const std::uint32_t above_low = 0U - static_cast<std::uint32_t>(x >= -87.33F);
    const std::uint32_t high = 0U - static_cast<std::uint32_t>(x > 88.72F);
    const std::uint32_t nan = 0U - static_cast<std::uint32_t>(x != x);
    return std::bit_cast<float>((bits & above_low & ~high) | (high & 0x7f800000U) | nan);
}
// The oracle's.
inline double fast_exp(double x) { return std::exp(x); }

// A Vec of them. Of floats below -87.3 the smallest normal number, above 88.37 infinity: clamping x
// is cheaper than masks of what comes out, and one multiplication by 2^k keeps a NaN.
inline Vec<float> fast_exp(Vec<float> x) {
    x = x < -87.3F ? Vec<float>{} - 87.3F : x;
    x = x > 89.0F ? Vec<float>{} + 89.0F : x;
    const auto [shifted, p] = exp_parts(x);
    const auto bits = (reinterpret_cast<vec_detail::Words>(shifted) << 23) + 0x3f800000U;
    return p * reinterpret_cast<Vec<float>>(bits);
}
inline Vec<double> fast_exp(Vec<double> x) {
    for (int i = 0; i < kVec<double>; ++i) x[i] = std::exp(x[i]);
    return x;
}

}  // namespace plumb
