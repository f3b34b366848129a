// Softmax cross-entropy in nats, alone or with its gradient, which is made of the exponentials that
// the loss is a sum of, while a token's row is in cache.
#pragma once

#include "core/dispatch.h"

namespace plumb {

// How many of the targets (N) are scored: all but those of -1.
Index n_scored(const Context& ctx, View<const std::int32_t> targets);

// logits (N, V), targets (N). losses (N): each token's loss, 0 where not scored. Returns their sum,
// in order.
template <class Real>
double cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                     View<Real> losses);

// The same, and dlogits (N, V), overwritten = weight * (softmax - onehot), 0 where not scored,
// stored in T. Logits are lost; dlogits may be their memory if T is RealOf<T>.
template <class T>
double cross_entropy_gradient(const Context& ctx, View<RealOf<T>> logits,
                              View<const std::int32_t> targets, View<RealOf<T>> losses,
                              RealOf<T> weight, View<T> dlogits);

// On a device, of arguments that fit.
Index n_scored(Cpu, const Context& ctx, View<const std::int32_t> targets);
template <class Real>
double cross_entropy(Cpu, const Context& ctx, View<const Real> logits,
                     View<const std::int32_t> targets, View<Real> losses);
template <class T>
double cross_entropy_gradient(Cpu, const Context& ctx, View<RealOf<T>> logits,
                              View<const std::int32_t> targets, View<RealOf<T>> losses,
                              RealOf<T> weight, View<T> dlogits);

}  // namespace plumb
