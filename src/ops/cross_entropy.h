// Softmax cross-entropy in nats, alone or with its gradient, which is made of the exponentials that
// the loss is a sum of, while a token's row is in cache. Numbers of targets and mean losses are
// device scalars (core/device_memory.h).
#pragma once

#include "core/dispatch.h"

namespace plumb {

// scored (1) = how many of the targets (N) are scored: all but those of -1.
void n_scored(const Context& ctx, View<const std::int32_t> targets, View<double> scored);
// The host waits for the answer.
Index n_scored(const Context& ctx, View<const std::int32_t> targets);

// logits (N, V), targets (N). losses (N): each token's loss, 0 where not scored.
template <class Real>
void cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                   View<Real> losses);

// The same, and dlogits (N, V), overwritten = scale / scored * (softmax - onehot), 0 where not
// scored, stored in T. Logits are lost; dlogits may be their memory if T is RealOf<T>. scored (1):
// of all tokens that share a mean.
template <class T>
void cross_entropy_gradient(const Context& ctx, View<RealOf<T>> logits,
                            View<const std::int32_t> targets, View<RealOf<T>> losses,
                            RealOf<T> scale, View<const double> scored, View<T> dlogits);

// mean (1) = the sum of losses (N), in order, over scored (1); 0 where none is.
template <class Real>
void mean_loss(const Context& ctx, View<const Real> losses, View<const double> scored,
               View<double> mean);

// On a device, of arguments that fit.
void n_scored(Cpu, const Context& ctx, View<const std::int32_t> targets, View<double> scored);
void n_scored(Cuda, const Context& ctx, View<const std::int32_t> targets, View<double> scored);
template <class Real>
void cross_entropy(Cpu, const Context& ctx, View<const Real> logits,
                   View<const std::int32_t> targets, View<Real> losses);
template <class Real>
void cross_entropy(Cuda, const Context& ctx, View<const Real> logits,
                   View<const std::int32_t> targets, View<Real> losses);
template <class T>
void cross_entropy_gradient(Cpu, const Context& ctx, View<RealOf<T>> logits,
                            View<const std::int32_t> targets, View<RealOf<T>> losses,
                            RealOf<T> scale, View<const double> scored, View<T> dlogits);
template <class T>
void cross_entropy_gradient(Cuda, const Context& ctx, View<RealOf<T>> logits,
                            View<const std::int32_t> targets, View<RealOf<T>> losses,
                            RealOf<T> scale, View<const double> scored, View<T> dlogits);
template <class Real>
void mean_loss(Cpu, const Context& ctx, View<const Real> losses, View<const double> scored,
               View<double> mean);
template <class Real>
void mean_loss(Cuda, const Context& ctx, View<const Real> losses, View<const double> scored,
               View<double> mean);

}  // namespace plumb
