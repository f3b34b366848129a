#include "model/head.h"

#include "ops/cross_entropy.h"

#include <algorithm>

namespace plumb {
namespace {

// Tokens first .. first + count - 1 of a view of tokens.
template <class X>
View<X> tokens_of(View<X> x, Index first, Index count) {
    if (x.shape.rank() == 1) return {x.data + first, {{'N', count}}, x.device};
    const Axis columns{x.shape.name(1), x.extent(1)};
    return {x.row(first), {{'N', count}, columns}, x.device};
}

}  // namespace

template <class T>
Head<T>::Head(Plan& plan, const std::string& name, const Param<Real>& w, Index tokens,
              Index at_a_time) {
    const Index vocab = w.shape.extent(0);
    at_a_time_ = std::min(tokens, at_a_time > 0 ? at_a_time : tokens_that_fit(vocab));
    product_ = Linear<T>(plan, name, w, at_a_time_);
    const Shape shape{{'N', at_a_time_}, {'V', vocab}};
    logits_ = plan.scratch<Real>("logits", shape);
    if constexpr (kRounds)
        dlogits_ = plan.scratch<T>("dlogits", shape);
    else
        dlogits_ = logits_;
    losses_ = plan.saved<Real>("losses", {{'N', tokens}});
    scored_ = plan.saved<double>("scored", {{'S', 1}});
    mean_loss_ = plan.saved<double>("mean_loss", {{'S', 1}});
}

template <class T>
Index Head<T>::tokens_that_fit(Index vocab) {
    constexpr auto kItem = static_cast<Index>(sizeof(Real) + (kRounds ? sizeof(T) : 0));
    constexpr Index kUnit = kTokenChunk / 2;
    return std::max(kTokenChunk, kBytes / kItem / vocab / kUnit * kUnit);
}

template <class T>
const Tensor<RealOf<T>>& Head<T>::logits() const {
    require(at_a_time_ == losses_.shape.extent(0), "logits are made some tokens at a time");
    return logits_;
}

template <class T>
void Head<T>::score(const Context& ctx, View<const T> x, View<const std::int32_t> targets,
                    std::optional<Real> scale, View<T> dx) {
    const View<Real> losses = ctx(losses_), logits = ctx(logits_);
    const View<T> dlogits = ctx(dlogits_);
    const View<double> scored = ctx(scored_);
    const Index n_tokens = losses.count();
    require(targets.count() == n_tokens, "Head: targets are (N)");
    n_scored(ctx, targets, scored);
    for (Index first = 0; first < n_tokens; first += at_a_time_) {
        const Index count = std::min(at_a_time_, n_tokens - first);
        const View<const T> in = tokens_of(x, first, count);
        const View<Real> z = tokens_of(logits, 0, count);
        const View<Real> own = tokens_of(losses, first, count);
        const View<const std::int32_t> wanted = tokens_of(targets, first, count);
        product_.forward(ctx, in, z);
        if (!scale) {
            cross_entropy<Real>(ctx, z, wanted, own);
            continue;
        }
        const View<T> dz = tokens_of(dlogits, 0, count);
        cross_entropy_gradient<T>(ctx, z, wanted, own, *scale, scored, dz);
        product_.backward(ctx, dz, in, tokens_of(dx, first, count));
    }
    plumb::mean_loss<Real>(ctx, losses, scored, ctx(mean_loss_));
}

template class Head<float>;
template class Head<double>;
template class Head<Bf16>;

}  // namespace plumb
