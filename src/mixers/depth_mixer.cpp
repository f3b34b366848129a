#include "mixers/depth_mixer.h"

#include <algorithm>

namespace plumb {

template <class Real>
void DepthMixer<Real>::step(Next expected, int l, Next then, int then_l) {
    require(next_ == expected && next_l_ == l, [&] {
        return fmt::format(
            "depth mixer walked out of order: call {} at l={}, due was call "
            "{} at l={}",
            static_cast<int>(expected), l, static_cast<int>(next_), next_l_);
    });
    next_ = then;
    next_l_ = then_l;
}

template <class Real>
View<Real> DepthMixer<Real>::slot(int l) {
    require(l >= 0 && l <= sublayers(), "slot: l out of range");
    return do_slot(l);
}

template <class Real>
void DepthMixer<Real>::begin(const Context& ctx) {
    next_ = Next::read;  // a new forward may start at any time
    next_l_ = 1;
    do_begin(ctx);
}

template <class Real>
View<const Real> DepthMixer<Real>::read(const Context& ctx, int l) {
    const bool last = l == sublayers() + 1;
    step(Next::read, l, last ? Next::dread : Next::write, l);
    return do_read(ctx, l);
}

template <class Real>
void DepthMixer<Real>::write(const Context& ctx, int l) {
    step(Next::write, l, Next::read, l + 1);
    do_write(ctx, l);
}

template <class Real>
View<Real> DepthMixer<Real>::dslot(int l) {
    require(next_ == Next::dread && next_l_ == l, "dslot: not this sublayer's turn");
    return do_dslot(l);
}

template <class Real>
void DepthMixer<Real>::read_backward(const Context& ctx, int l) {
    step(Next::dread, l, l == 1 ? Next::dbegin : Next::dwrite, l - 1);
    do_read_backward(ctx, l);
}

template <class Real>
View<const Real> DepthMixer<Real>::write_backward(const Context& ctx, int l) {
    step(Next::dwrite, l, Next::dread, l);
    return do_write_backward(ctx, l);
}

template <class Real>
View<const Real> DepthMixer<Real>::begin_backward(const Context& ctx) {
    step(Next::dbegin, 0, Next::begin, 0);
    return do_begin_backward(ctx);
}

template <class Real>
void DepthMixer<Real>::depth_matrix(Index token, View<Real> m) const {
    const Index rows = sublayers() + 1;
    require(m.count() == rows * rows * matrix_channels() && token >= 0 && token < shape_.tokens,
            "depth_matrix: m is (L+1, L+1, channels) and token < N");
    std::fill(m.data, m.data + m.count(), Real(0));
    do_depth_matrix(token, m);
}

template class DepthMixer<float>;
template class DepthMixer<double>;

}  // namespace plumb
