// Softmax cross-entropy in nats, and its gradient. Backward takes the log-sum-exp of a row from its
// loss, lse = loss + logit of the target, so that it is one pass.
#pragma once

#include "core/context.h"

namespace plumb {

// logits (N, V), targets (N); a target of -1 is not scored. losses (N): each token's loss, 0 where
// not scored. Returns the mean over scored tokens (0 if there are none), summed in order.
template <class Real>
double cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                     View<Real> losses);

// dlogits (N, V), overwritten = scale * (softmax - onehot) / (scored tokens), stored in T; losses
// (N) as forward left them. dlogits may be the memory of logits if T is RealOf<T>.
template <class T>
void cross_entropy_backward(const Context& ctx, View<const RealOf<T>> logits,
                            View<const std::int32_t> targets, View<const RealOf<T>> losses,
                            RealOf<T> scale, View<T> dlogits);

}  // namespace plumb
