#include "mixers/stream_mixer.h"

#include "core/parallel.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {
namespace {

// Channels handled at once: K rows of a tile stay in the first-level cache while they are mixed.
constexpr Index kTile = 64;

// out[k] = sum_s w(s, k) in[s] over tiles of channels; `in` and `out` may be the same memory.
template <class Real, class Weight>
void mix_streams(const Real* in, Real* out, int k_streams, Index c, Weight w) {
    Real tile[kMaxStreams][kTile];
    for (Index begin = 0; begin < c; begin += kTile) {
        const Index size = std::min(kTile, c - begin);
        for (int s = 0; s < k_streams; ++s)
            std::copy(in + s * c + begin, in + s * c + begin + size, tile[s]);
        for (int k = 0; k < k_streams; ++k) {
            Real* o = out + k * c + begin;
            std::fill(o, o + size, Real(0));
            for (int s = 0; s < k_streams; ++s) axpy(w(s, k), tile[s], o, size);
        }
    }
}

}  // namespace

template <class Real>
StreamMixer<Real>::StreamMixer(const MixerShape& shape, int streams)
    : MaterialisedMixer<Real>(shape), streams_(streams) {
    if (streams < 1 || streams > kMaxStreams)
        throw UsageError(fmt::format("mixer.streams={}: must lie in 1..{}", streams, kMaxStreams));
}

template <class Real>
void StreamMixer<Real>::declare(Plan& plan, ParamStore<Real>&) {
    const Index n = this->shape().tokens, c = this->shape().channels;
    const Shape streams{{'N', n}, {'K', streams_}, {'C', c}}, coefs{{'N', n}, {'M', n_coef()}};
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const auto saved = [&](const char* name, Shape shape) {
            return plan.declare<Real>(fmt::format("mixer.{}.{}", name, l), shape, Lifetime::saved);
        };
        x_id_.push_back(saved("x", streams));
        coef_id_.push_back(saved("coef", coefs));
        if (l <= this->sublayers()) v_id_.push_back(saved("v", this->token_shape()));
    }
    const auto scratch = [&](const char* name, Shape shape) {
        return plan.declare<Real>(name, shape, Lifetime::scratch);
    };
    h_id_ = scratch("mixer.h", this->token_shape());
    dh_id_ = scratch("mixer.dh", this->token_shape());
    dv_id_ = scratch("mixer.dv", this->token_shape());
    dx_id_ = scratch("mixer.dx", streams);
    dcoef_id_ = scratch("mixer.dcoef", coefs);
}

template <class Real>
void StreamMixer<Real>::bind(const Arena& arena, ParamStore<Real>&) {
    for (const TensorId id : x_id_) x_.push_back(arena.view<Real>(id));
    for (const TensorId id : coef_id_) coef_.push_back(arena.view<Real>(id));
    for (const TensorId id : v_id_) v_.push_back(arena.view<Real>(id));
    h_ = arena.view<Real>(h_id_);
    dh_ = arena.view<Real>(dh_id_);
    dv_ = arena.view<Real>(dv_id_);
    dx_ = arena.view<Real>(dx_id_);
    dcoef_ = arena.view<Real>(dcoef_id_);
}

template <class Real>
View<Real> StreamMixer<Real>::do_slot(int l) {
    return l == 0 ? h_ : v_[static_cast<std::size_t>(l - 1)];
}

template <class Real>
void StreamMixer<Real>::do_begin(const Context& ctx) {
    const Index c = this->shape().channels;
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        for (int k = 0; k < streams_; ++k)
            std::copy(h_.row(n), h_.row(n) + c, x(1).data + (n * streams_ + k) * c);
    });
}

template <class Real>
View<const Real> StreamMixer<Real>::do_read(const Context& ctx, int l) {
    coefficients(ctx, l);
    const Index c = this->shape().channels;
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        const Real* pre = coef(l).row(n);
        const Real* in = x(l).data + n * streams_ * c;
        Real* h = h_.row(n);
        std::fill(h, h + c, Real(0));
        for (int s = 0; s < streams_; ++s) axpy(pre[s], in + s * c, h, c);
    });
    return h_;
}

template <class Real>
void StreamMixer<Real>::do_write(const Context& ctx, int l) {
    const Index c = this->shape().channels;
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        const Real* post = coef(l).row(n) + streams_;
        const Real* res = post + streams_;
        Real* out = x(l + 1).data + n * streams_ * c;
        mix_streams(x(l).data + n * streams_ * c, out, streams_, c,
                    [&](int s, int k) { return res[s * streams_ + k]; });
        for (int k = 0; k < streams_; ++k)
            axpy(post[k], v_[static_cast<std::size_t>(l - 1)].row(n), out + k * c, c);
    });
}

// ---- backward: dx_ is dLoss/dX of the streams after the point reached ---------------------------

template <class Real>
void StreamMixer<Real>::do_read_backward(const Context& ctx, int l) {
    const Index c = this->shape().channels;
    const bool last = l > this->sublayers();
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        const Real* pre = coef(l).row(n);
        const Real* in = x(l).data + n * streams_ * c;
        Real* dpre = dcoef_.row(n);
        Real* dx = dx_.data + n * streams_ * c;
        if (last) std::fill(dx, dx + streams_ * c, Real(0));
        if (last) std::fill(dpre, dpre + n_coef(), Real(0));
        for (int s = 0; s < streams_; ++s) {
            dpre[s] = dot(dh_.row(n), in + s * c, c);
            axpy(pre[s], dh_.row(n), dx + s * c, c);
        }
    });
    coefficients_backward(ctx, l);
}

template <class Real>
View<const Real> StreamMixer<Real>::do_write_backward(const Context& ctx, int l) {
    const Index c = this->shape().channels;
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        const Real* post = coef(l).row(n) + streams_;
        const Real* res = post + streams_;
        const Real* in = x(l).data + n * streams_ * c;
        Real* dpost = dcoef_.row(n) + streams_;
        Real* dres = dpost + streams_;
        Real* dx = dx_.data + n * streams_ * c;
        Real* dv = dv_.row(n);
        std::fill(dv, dv + c, Real(0));
        for (int k = 0; k < streams_; ++k) {
            dpost[k] = dot(dx + k * c, v_[static_cast<std::size_t>(l - 1)].row(n), c);
            axpy(post[k], dx + k * c, dv, c);
            for (int s = 0; s < streams_; ++s)
                dres[s * streams_ + k] = dot(in + s * c, dx + k * c, c);
        }
        mix_streams(dx, dx, streams_, c, [&](int k, int s) { return res[s * streams_ + k]; });
    });
    return dv_;
}

template <class Real>
View<const Real> StreamMixer<Real>::do_begin_backward(const Context& ctx) {
    const Index c = this->shape().channels;
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        Real* dv = dv_.row(n);
        std::fill(dv, dv + c, Real(0));
        for (int k = 0; k < streams_; ++k) axpy(Real(1), dx_.data + (n * streams_ + k) * c, dv, c);
    });
    return dv_;
}

// Each stream as a row of coefficients over the v_i, carried along the walk.
template <class Real>
void StreamMixer<Real>::do_depth_matrix(Index token, View<Real> m) const {
    const Index rows = this->sublayers() + 1;
    std::vector<Real> e(static_cast<std::size_t>(streams_ * rows), Real(0));
    for (int k = 0; k < streams_; ++k) e[static_cast<std::size_t>(k * rows)] = Real(1);
    for (int l = 1; l <= rows; ++l) {
        const Real* pre = coef(l).row(token);
        const Real* post = pre + streams_;
        const Real* res = post + streams_;
        for (int s = 0; s < streams_; ++s)
            axpy(pre[s], e.data() + s * rows, m.data + (l - 1) * rows, rows);
        if (l == rows) break;
        mix_streams(e.data(), e.data(), streams_, rows,
                    [&](int s, int k) { return res[s * streams_ + k]; });
        for (int k = 0; k < streams_; ++k) e[static_cast<std::size_t>(k * rows + l)] += post[k];
    }
}

template class StreamMixer<float>;
template class StreamMixer<double>;

}  // namespace plumb
