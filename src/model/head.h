// Head: from what the final norm gives to the loss, some tokens at a time. Logits of a chunk of
// tokens are made, scored and, where gradients are wanted, turned into theirs in place and spent on
// dx and dW; then those of the next chunk take their memory. So what is planned for logits does not
// grow with N; a chunk is 64 tokens at least, whatever V is. (A fused classifier, as llm.c has,
// over chunks of tokens as in Liger-Kernel, arXiv:2410.10989; the chunk's size is ours.)
//
// W (V, C) is read, dW read and written once a chunk, which is 64, 96, .. tokens, as many as kBytes
// hold logits of. Seconds of loss and gradients at V = 50,304, C = 128 in float, one thread,
// over those of all tokens at once: 1.00 for 256 at a time, 1.06 for 128, 1.3 for 64. kBytes gives
// 160: what is planned stays within twice that of V = 256.
//
// A last chunk that is shorter allocates in its first step (ops/linear.h). The same bits for any
// number of threads. The order of dW's sums over tokens depends on the chunk: with N tokens at a
// time they are summed in one go.
#pragma once

#include "ops/linear.h"

#include <optional>

namespace plumb {

template <class T>
class Head {
public:
    using Real = RealOf<T>;

    Head() = default;
    // w (V, C). tokens: N of a pass; at_a_time: of them, 0: as many as kBytes hold, at most N.
    Head(Plan& plan, const std::string& name, const Param<Real>& w, Index tokens, Index at_a_time);
    // Before the first loss in a frame, and whenever W changed.
    void prepare(const Context& ctx) { product_.prepare(ctx); }

    // mean_loss() becomes the mean cross-entropy over the scored of targets (N), x (N, C), losses()
    // are each token's. With a scale, dx (N, C) = scale times its gradient, overwritten, and that
    // of W is added to W's.
    void score(const Context& ctx, View<const T> x, View<const std::int32_t> targets,
               std::optional<Real> scale = {}, View<T> dx = {});

    const Tensor<double>& mean_loss() const { return mean_loss_; }  // (1)
    const Tensor<Real>& losses() const { return losses_; }          // (N)
    // (N, V), until a gradient is made of them or the next call. Throws InternalError where they
    // are made some at a time.
    const Tensor<Real>& logits() const;

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;
    static constexpr Index kBytes = 36 << 20;  // of logits and their gradients

    static Index tokens_that_fit(Index vocab);

    Index at_a_time_ = 0;
    Linear<T> product_;
    Tensor<Real> logits_, losses_;       // (at_a_time, V), (N)
    Tensor<T> dlogits_;                  // (at_a_time, V), the memory of logits_ if T is Real
    Tensor<double> scored_, mean_loss_;  // (1)
};

}  // namespace plumb
