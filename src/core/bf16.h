// Bf16: the 16-bit storage type of the bf16 mode. Numbers are stored and fed to matrix products in
// it; arithmetic is float (Bf16 converts to float by itself, and rounds to nearest even on the way
// back). RealOf<T> is what numbers of storage type T are computed in: T itself, or float for Bf16.
#pragma once

#include <bit>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define PLUMB_BOTH __host__ __device__  // for the host and for kernels
#else
#define PLUMB_BOTH
#endif

namespace plumb {

struct Bf16 {
    std::uint16_t bits = 0;

    Bf16() = default;
    PLUMB_BOTH explicit Bf16(float x) : bits(rounded(x)) {}
    // Assigns the bits, not a temporary Bf16: gcc 12 does not vectorise loops that hold one.
    PLUMB_BOTH Bf16& operator=(float x) {
        bits = rounded(x);
        return *this;
    }
    PLUMB_BOTH operator float() const {
        const auto u = static_cast<std::uint32_t>(bits) << 16;
#ifdef __CUDA_ARCH__
        return __uint_as_float(u);
#else
        return std::bit_cast<float>(u);
#endif
    }

private:
    // Written without branches, so that loops over it vectorise; a NaN stays a NaN. A device rounds
    // in hardware, to the same bits but for those of a NaN.
    PLUMB_BOTH static std::uint16_t rounded(float x) {
#ifdef __CUDA_ARCH__
        return __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
        const auto u = std::bit_cast<std::uint32_t>(x);
        const std::uint32_t nearest = (u + 0x7fffU + ((u >> 16) & 1U)) >> 16;
        return static_cast<std::uint16_t>(x == x ? nearest : (u >> 16) | 0x40U);
#endif
    }
};
static_assert(sizeof(Bf16) == 2);

template <class T>
struct RealOfT {
    using type = T;
};
template <>
struct RealOfT<Bf16> {
    using type = float;
};
template <class T>
using RealOf = typename RealOfT<T>::type;

// The relative distance of neighbouring numbers, for derived tolerances.
inline constexpr float kBf16Epsilon = 0.0078125F;  // 2^-7

}  // namespace plumb
