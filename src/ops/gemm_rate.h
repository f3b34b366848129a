// How fast float matrix products run here: the yardstick of every speed figure.
#pragma once

#include "core/context.h"

namespace plumb {

// FLOP/s of C (m, n) = A (m, k) B^T (n, k) in float, best of as many repeats as fit in `seconds`.
double measure_gemm_rate(const Context& ctx, Index m, Index n, Index k, double seconds);

}  // namespace plumb
