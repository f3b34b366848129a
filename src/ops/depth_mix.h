// depth_mix: h = sum_s w_s v_s over the depth axis, the one primitive of every mixer that keeps its
// sources (design.md 1). Weights belong to a token, or are shared by all tokens (stride 0).
// Bytes: (S + 1) C per token, each source read once; flops 2 S C.
#pragma once

#include "core/context.h"

#include <span>

namespace plumb {

// Weights of S sources for each token: weight s of token n is data[n * stride + s].
template <class Real>
struct MixWeights {
    const Real* data;
    Index stride;  // 0: the same weights for every token
};

// out (N, C) = sum_s w[n, s] sources[s][n, :]; each source is (N, C) contiguous. Overwrites.
template <class Real>
void depth_mix(const Context& ctx, std::span<const Real* const> sources, MixWeights<Real> w,
               View<Real> out);

}  // namespace plumb
