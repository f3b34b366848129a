// A weight in Bf16 as oneDNN's products take it (BA16a64b2a): both layouts in one pass over the
// float weight, where a reorder a layout reads it twice.
//
// A panel is 64 columns of B (k, n); in it, one after the other, come k / 32 blocks of 16 pairs of
// rows, a pair of 64 columns at a time: (n/64, k/32, 16, 64, 2). What is past k or n is zero.
#pragma once

#include "core/context.h"

namespace plumb {

// Numbers of such a B: k up to a multiple of 32, n up to one of 64.
inline Index panel_numbers(Index k, Index n) { return (k + 31) / 32 * 32 * ((n + 63) / 64 * 64); }

// w (Out, In), rounded as Bf16(float). forward: B (In, Out) = W transposed, of y = x W^T; input: B
// (Out, In) = W, of dx = dy W. The same bits for any number of threads.
void pack_panels(const Context& ctx, const float* w, Index out, Index in, Bf16* forward,
                 Bf16* input);

}  // namespace plumb
