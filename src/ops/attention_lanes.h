// What the kernels of attention do to vectors of kLanes floats. A file that includes this defines
// PLUMB_LANES and is compiled for its own instruction set; from elsewhere only what is always
// inlined or has internal linkage is called (ops/transpose.h).
#pragma once

#include "ops/exp_polynomial.h"
#include "ops/transpose.h"

namespace plumb {
namespace {

typedef std::uint32_t Words __attribute__((vector_size(4 * kLanes)));

inline Floats all(float x) { return x - Floats{}; }
inline Words bits(Floats v) { return reinterpret_cast<Words>(v); }
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

// As fast_exp(float) of ops/exp.h to a last place, up to 2^127.
inline Floats exp(Floats x) {
    const auto [shifted, p] = exp_parts(x);
    const Words power = (bits(shifted) << 23) + (127U << 23);             // 2^k
    return x < -87.33F ? Floats{} : p * reinterpret_cast<Floats>(power);  // a NaN stays one
}

}  // namespace
}  // namespace plumb
