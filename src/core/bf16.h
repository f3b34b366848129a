// Bf16: the 16-bit storage type of the bf16 mode. Numbers are stored and fed to matrix products in
// it; arithmetic is float (Bf16 converts to float by itself, and rounds to nearest even on the way
// back). RealOf<T> is what numbers of storage type T are computed in: T itself, or float for Bf16.
#pragma once

#include <bit>
#include <cstdint>

namespace plumb {

struct Bf16 {
    std::uint16_t bits = 0;

    Bf16() = default;
    explicit Bf16(float x) : bits(rounded(x)) {}
    // Assigns the bits, not a temporary Bf16: gcc 12 does not vectorise loops that hold one.
    Bf16& operator=(float x) {
        bits = rounded(x);
        return *this;
    }
    operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

private:
    // Written without branches, so that loops over it vectorise; a NaN stays a NaN.
    static std::uint16_t rounded(float x) {
        const auto u = std::bit_cast<std::uint32_t>(x);
        const std::uint32_t nearest = (u + 0x7fffU + ((u >> 16) & 1U)) >> 16;
        return static_cast<std::uint16_t>(x == x ? nearest : (u >> 16) | 0x40U);
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
