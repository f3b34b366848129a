// How fast matrix products run here: the yardstick of every speed figure. All of these run the very
// calls that a model's Linear layers make, on layers of their own.
#pragma once

#include "core/context.h"

namespace plumb {

// Forward, dx = dy W, dw += dy^T x.
enum class LinearCall : std::uint8_t { forward, dx, dw };

// Seconds of one call of a Linear<T> (Out, In) with `tokens` tokens, median of `repeats` after two
// that do not count. The call does 2 tokens out in floating-point operations.
template <class T>
double gemm_seconds(const Context& ctx, LinearCall call, Index tokens, Index out, Index in,
                    int repeats);

// FLOP/s of y (m, n) = x (m, k) W^T, best of as many repeats as fit in `seconds`.
template <class T = float>
double measure_gemm_rate(const Context& ctx, Index m, Index n, Index k, double seconds);

}  // namespace plumb
