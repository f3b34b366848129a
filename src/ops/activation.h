// Activations of the MLP, applied elementwise to the packed up projection.
// swiglu (Shazeer 2020): up (N, 2F) = [gate | value], a = silu(gate) value.  gelu: tanh form.
#pragma once

#include "core/context.h"

namespace plumb {

enum class Activation : std::uint8_t { swiglu, gelu };

// up (N, 2F) or (N, F) -> a (N, F). Overwrites.
template <class Real>
void activation(const Context& ctx, Activation kind, View<const Real> up, View<Real> a);

// da (N, F) and the saved up -> dup (shape of up); also rewrites a (N, F), so that forward need not
// keep it. a may not be da.
template <class Real>
void activation_backward(const Context& ctx, Activation kind, View<const Real> up,
                         View<const Real> da, View<Real> dup, View<Real> a);

}  // namespace plumb
