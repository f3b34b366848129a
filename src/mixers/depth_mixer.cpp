#include "mixers/depth_mixer.h"

#include "ops/reduce.h"

#include <algorithm>

namespace plumb {

template <class Real>
int DepthMatrix<Real>::most_ways() const {
    int most = 1;
    for (int l = 1; l <= shape_.sublayers() + 1; ++l) most = std::max(most, ways(l));
    return most;
}

template <class Real>
auto DepthMatrix<Real>::matrices(const Context& ctx) const -> OfToken {
    const Index rows = shape_.sublayers() + 1, count = rows * rows * matrix_channels();
    return [count, tokens = shape_.tokens, of = do_matrices(ctx)](Index n, View<Real> m, int way) {
        require(m.count() == count && n >= 0 && n < tokens && way >= 0 && way < kMostWays,
                "matrices: m is (L+1, L+1, channels), token < N, way < 3");
        std::fill(m.data, m.data + m.count(), Real(0));
        of(n, m, way);
    };
}

template <class T>
void DepthMixer<T>::declare(Plan& plan, ParamStore<Real>& params) {
    walk_ =
        plan.state(Walk{.norms = std::vector<LeftNorm>(static_cast<std::size_t>(sublayers() + 1))});
    do_declare(plan, params);
}

template <class T>
auto DepthMixer<T>::step(const Context& ctx, Call now, int l, Call then, int then_l) const
    -> Walk& {
    Walk& walk = ctx(walk_);
    require(walk.next == now && walk.l == l, [&] {
        return fmt::format(
            "depth mixer walked out of order: call {} at l={}, due was call "
            "{} at l={}",
            static_cast<int>(now), l, static_cast<int>(walk.next), walk.l);
    });
    if (ctx.profile) {
        const MovedNumbers m = moves(now, l);
        ctx.profile->mixer_bytes += static_cast<double>(m.stored * shape().tokens) * sizeof(T) +
                                    static_cast<double>(m.real * shape().tokens) * sizeof(Real);
    }
    walk.next = then;
    walk.l = then_l;
    return walk;
}

template <class T>
View<T> DepthMixer<T>::slot(const Context& ctx, int l) const {
    require(l >= 0 && l <= sublayers(), "slot: l out of range");
    return do_slot(ctx, l);
}

template <class T>
void DepthMixer<T>::begin(const Context& ctx) {
    const Timed timed(ctx.profile, Part::mixer);
    Walk& walk = ctx(walk_);
    walk.next = Call::read;  // a new forward may start at any time
    walk.l = 1;
    do_begin(ctx);
}

template <class T>
void DepthMixer<T>::read(const Context& ctx, int l, PreNorms norms) {
    const Timed timed(ctx.profile, Part::mixer);
    const bool last = l == sublayers() + 1;
    require(std::ssize(norms) == this->ways(l), "a read takes one pre-norm for each way");
    Walk& walk = step(ctx, Call::read, l, last ? Call::read_backward : Call::write, l);
    const PreNorm<T>& norm = norms.front();
    walk.norms[static_cast<std::size_t>(l - 1)] = {norm.xhat.data, norm.rstd.data};
    do_read_ways(ctx, l, norms);
}

template <class T>
void DepthMixer<T>::write(const Context& ctx, int l) {
    const Timed timed(ctx.profile, Part::mixer);
    step(ctx, Call::write, l, Call::read, l + 1);
    do_write(ctx, l);
}

template <class T>
void DepthMixer<T>::read_backward(const Context& ctx, int l, PreNorms norms) {
    const Timed timed(ctx.profile, Part::mixer);
    require(std::ssize(norms) == this->ways(l), "a read takes one pre-norm for each way");
    for (const PreNorm<T>& norm : norms)
        if (norm.dgain) clear<Real>(ctx, norm.dgain);
    step(ctx, Call::read_backward, l, l == 1 ? Call::begin_backward : Call::write_backward, l - 1);
    do_read_backward_ways(ctx, l, norms);
}

template <class T>
View<const T> DepthMixer<T>::write_backward(const Context& ctx, int l) {
    const Timed timed(ctx.profile, Part::mixer);
    step(ctx, Call::write_backward, l, Call::read_backward, l);
    return do_write_backward(ctx, l);
}

template <class T>
View<const T> DepthMixer<T>::begin_backward(const Context& ctx) {
    const Timed timed(ctx.profile, Part::mixer);
    step(ctx, Call::begin_backward, 0, Call::begin, 0);
    return do_begin_backward(ctx);
}

template class DepthMatrix<float>;
template class DepthMatrix<double>;
template class DepthMixer<float>;
template class DepthMixer<double>;
template class DepthMixer<Bf16>;

}  // namespace plumb
