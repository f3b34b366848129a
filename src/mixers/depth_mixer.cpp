#include "mixers/depth_mixer.h"

#include <algorithm>

namespace plumb {

template <class Real>
void DepthMatrix<Real>::depth_matrix(Index token, View<Real> m) const {
    const Index rows = shape_.sublayers + 1;
    require(m.count() == rows * rows * matrix_channels() && token >= 0 && token < shape_.tokens,
            "depth_matrix: m is (L+1, L+1, channels) and token < N");
    std::fill(m.data, m.data + m.count(), Real(0));
    do_depth_matrix(token, m);
}

template <class T>
void DepthMixer<T>::step(Next expected, int l, Next then, int then_l) {
    require(next_ == expected && next_l_ == l, [&] {
        return fmt::format(
            "depth mixer walked out of order: call {} at l={}, due was call "
            "{} at l={}",
            static_cast<int>(expected), l, static_cast<int>(next_), next_l_);
    });
    next_ = then;
    next_l_ = then_l;
}

template <class T>
View<T> DepthMixer<T>::slot(int l) {
    require(l >= 0 && l <= sublayers(), "slot: l out of range");
    return do_slot(l);
}

template <class T>
void DepthMixer<T>::begin(const Context& ctx) {
    const Timed timed(ctx.profile, Part::mixer);
    next_ = Next::read;  // a new forward may start at any time
    next_l_ = 1;
    do_begin(ctx);
}

template <class T>
void DepthMixer<T>::read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Timed timed(ctx.profile, Part::mixer);
    const bool last = l == sublayers() + 1;
    step(Next::read, l, last ? Next::dread : Next::write, l);
    do_read(ctx, l, norm);
}

template <class T>
void DepthMixer<T>::write(const Context& ctx, int l) {
    const Timed timed(ctx.profile, Part::mixer);
    step(Next::write, l, Next::read, l + 1);
    do_write(ctx, l);
}

template <class T>
void DepthMixer<T>::read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Timed timed(ctx.profile, Part::mixer);
    step(Next::dread, l, l == 1 ? Next::dbegin : Next::dwrite, l - 1);
    do_read_backward(ctx, l, norm);
}

template <class T>
View<const T> DepthMixer<T>::write_backward(const Context& ctx, int l) {
    const Timed timed(ctx.profile, Part::mixer);
    step(Next::dwrite, l, Next::dread, l);
    return do_write_backward(ctx, l);
}

template <class T>
View<const T> DepthMixer<T>::begin_backward(const Context& ctx) {
    const Timed timed(ctx.profile, Part::mixer);
    step(Next::dbegin, 0, Next::begin, 0);
    return do_begin_backward(ctx);
}

template class DepthMatrix<float>;
template class DepthMatrix<double>;
template class DepthMixer<float>;
template class DepthMixer<double>;
template class DepthMixer<Bf16>;

}  // namespace plumb
