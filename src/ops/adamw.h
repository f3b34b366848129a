// AdamW (Loshchilov & Hutter 2019), one pass over value, gradient and both moments.
#pragma once

#include "core/context.h"

namespace plumb {

struct AdamWStep {
    double lr, beta1, beta2, eps, weight_decay;
    double grad_scale;  // the gradient is multiplied by this first (clipping)
    Index step;         // 1, 2, ...: for bias correction
};

// w, m, v updated in place; all have the same count. Decay is decoupled: w -= lr weight_decay w.
template <class Real>
void adamw(const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v);

}  // namespace plumb
