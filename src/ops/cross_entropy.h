// Softmax cross-entropy in nats, and its gradient, in one pass over the logits.
#pragma once

#include "core/context.h"

namespace plumb {

// logits (N, V), targets (N); a target of -1 is not scored. losses (N): each token's loss, 0 where
// not scored. Returns the mean over scored tokens (0 if there are none), summed in order.
template <class Real>
double cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                     View<Real> losses);

// logits (N, V) -> dlogits in place: scale * (softmax - onehot) / (scored tokens).
template <class Real>
void cross_entropy_backward(const Context& ctx, View<Real> logits, View<const std::int32_t> targets,
                            Real scale);

}  // namespace plumb
