#include "mixers/stream_mixer.h"

#include "core/parallel.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {

MixerOption streams_option() {
    return {"streams", 4L, "number K of parallel residual streams", within(1, 64)};
}

void check_streams(long streams) {
    if (streams < 1 || streams > kMaxStreams)
        throw UsageError(fmt::format("mixer.streams={}: must lie in 1..{}", streams, kMaxStreams));
}

template <class T>
StreamMixer<T>::StreamMixer(const MixerShape& shape, int streams)
    : DepthMixer<T>(shape), streams_(streams) {
    check_streams(streams);
}

template <class T>
void StreamMixer<T>::do_declare(Plan& plan, ParamStore<Real>&) {
    const Shape streams{
        {'N', this->shape().tokens}, {'K', streams_}, {'C', this->shape().channels}};
    v_.push_back(plan.scratch<T>("mixer.v.0", this->token_shape()));
    for (int l = 1; l <= this->sublayers(); ++l)
        v_.push_back(plan.saved<T>(fmt::format("mixer.v.{}", l), this->token_shape()));
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const Projection p = projection(l);
        const auto name = [l](const char* what) { return fmt::format("mixer.{}.{}", what, l); };
        x_.push_back(plan.saved<T>(name("x"), streams));
        coef_.push_back(plan.saved<Real>(name("coef"), lanes(n_coef())));
        u_.push_back(plan.saved<Real>(name("u"), lanes(p.shared ? streams_ * p.m : p.m)));
    }
    declare_scratch(plan);
}

template <class T>
void StreamMixer<T>::declare_scratch(Plan& plan) {
    const Index n = this->shape().tokens, c = this->shape().channels, chunks = n_chunks(n);
    const auto scratch = [&](const char* name, Shape shape) {
        return plan.scratch<Real>(name, shape);
    };
    Index packed = 0, numbers = 0;
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const Projection p = projection(l);
        packed = std::max(packed, parts(p) * packed_size(p));
        numbers = std::max<Index>(numbers, p.shared ? streams_ * p.m : p.m);
    }
    dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    dx_ = scratch("mixer.dx", {{'N', n}, {'K', streams_}, {'C', c}});
    row_ = scratch("mixer.row", {{'P', chunks}, {'T', kTile}, {'C', c}});
    dcoef_ = scratch("mixer.dcoef", {{'P', chunks}, {'M', n_coef()}, {'T', kTile}});
    du_ = scratch("mixer.du", {{'P', chunks}, {'M', numbers}, {'T', kTokenChunk}});
    ab_ = scratch("mixer.ab", {{'P', chunks}, {'K', 2 * streams_}, {'T', kTile}});
    packed_ = scratch("mixer.packed", {{'W', packed}});
    dpacked_ = scratch("mixer.dpacked", {{'P', chunks}, {'W', packed}});
    partial_ = scratch("mixer.partial", {{'P', chunks}, {'M', n_partials()}, {'T', kTile}});
}

template <class T>
void StreamMixer<T>::stream(const Context& ctx, int l, Index n, Real* out) const {
    const Index width = stream_width();
    std::copy_n(x(ctx, l + 1) + n * width, width, out);
}

template <class T>
template <class F>
void StreamMixer<T>::for_tiles(Index begin, Index end, Index chunk, F&& f) const {
    for (Index i = begin; i < end; i += kTile)
        f(Tile{i, static_cast<int>(std::min<Index>(kTile, end - i)), i / kTile, chunk});
}

template <class T>
auto StreamMixer<T>::weight_rows(const Context& ctx, int l) const
    -> std::array<const Real*, kMaxStreams*(kMaxStreams + 2)> {
    std::array<const Real*, kMaxStreams*(kMaxStreams + 2)> rows{};
    for (int i = 0; i < projection(l).m; ++i)
        rows[static_cast<std::size_t>(i)] = weights(ctx, l, i);
    return rows;
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void StreamMixer<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = this->shape().channels;
    with_streams<Real>(streams_, c, [&](auto k) {
        for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
            for_tiles(begin, end, chunk,
                      [&](const Tile& tile) { read_tile<k.value>(ctx, l, tile, norm); });
        });
    });
    const Index numbers = u_[index(l)].shape.extent(1);
    this->template moved<T>(ctx, (l > 1 ? 2 * streams_ + 1 : streams_ + 1) * c);
    this->template moved<Real>(ctx, (l > 1 ? 2 : 1) * n_coef() + numbers);
}

template <class T>
template <int K>
void StreamMixer<T>::read_tile(const Context& ctx, int l, const Tile& tile,
                               const PreNorm<T>& norm) const {
    const Index c = this->shape().channels, width = streams_ * c;
    T* out = ctx(x_[index(l)]).data + tile.begin * width;
    const T *v = ctx(v_[index(l)]).row(tile.begin), *before = nullptr;
    const Real* post_before = nullptr;
    if (l > 1) {
        before = x(ctx, l - 1) + tile.begin * width;
        post_before = coef(ctx, l - 1, tile.index) + streams_ * kTile;
    }
    for (int t = 0; t < tile.n; ++t)
        if (l == 1) {
            for (int k = 0; k < streams_; ++k) std::copy_n(v + t * c, c, out + t * width + k * c);
        } else {
            const Real* post = post_before + t;
            mix_streams<K>(streams_, c, before + t * width, v + t * c, post,
                           post + streams_ * kTile, out + t * width);
        }
    project_tile<K>(ctx, l, tile);
    coefficients(ctx, l, tile);
    Real* h = at(ctx(row_), tile.chunk);
    const Real* pre = coef(ctx, l, tile.index);
    for (int t = 0; t < tile.n; ++t) {
        read_streams<K>(streams_, c, out + t * width, pre + t, h);
        norm.put(tile.begin + t, h);
    }
}

template <class T>
template <int K>
void StreamMixer<T>::project_tile(const Context& ctx, int l, const Tile& tile) const {
    const Projection p = projection(l);
    const Index c = this->shape().channels, width = streams_ * c;
    const T* in = x(ctx, l) + tile.begin * width;
    if (p.m == 0) return;
    const auto w = weight_rows(ctx, l);
    Real* out = u(ctx, l, tile.index);
    if (tile.n < kTile) std::fill_n(out, u_[index(l)].shape.extent(1) * kTile, Real(0));
    if (!p.shared) {  // long enough for the next tile to arrive meanwhile
        const T* before = x(ctx, std::max(l - 1, 1)) + tile.begin * width;
        return project<K>(tile.n, width, in, before, width, p.m, w.data(), out);
    }
    for (int s = 0; s < streams_; ++s)
        project<K>(tile.n, c, in + s * c, static_cast<const T*>(nullptr), width, p.m, w.data(),
                   out + s * p.m * kTile);
}

// ---- backward: dx_ is dLoss/dX of the streams after the site, then of those at it
// ----------------

template <class T>
void StreamMixer<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = this->shape().channels;
    const Projection p = projection(l);
    const auto w = weight_rows(ctx, l);
    const View<Real> packed = ctx(packed_), partial = ctx(partial_);
    for (int s = 0; p.m > 0 && s < parts(p); ++s) {
        std::array<const Real*, kMaxStreams*(kMaxStreams + 2)> rows = w;
        for (int i = 0; i < p.m; ++i) rows[static_cast<std::size_t>(i)] += s * c;
        pack_weights(c, p.m, rows.data(), packed.data + s * packed_size(p));
    }
    with_streams<Real>(streams_, c, [&](auto k) {
        for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
            std::fill_n(at(partial, chunk), n_partials() * kTile, Real(0));
            for_tiles(begin, end, chunk,
                      [&](const Tile& tile) { read_backward_tile<k.value>(ctx, l, tile, norm); });
            weight_gradients<k.value>(ctx, l, begin, end, chunk);
        });
    });
    reduce(ctx, l);
    const bool last = l > this->sublayers();
    const Index numbers = u_[index(l)].shape.extent(1);
    this->template moved<T>(ctx, (streams_ + (last ? 1 : 2)) * c);
    this->template moved<Real>(ctx, (last ? 1 : 2) * streams_ * c + n_coef() + numbers);
}

template <class T>
template <int K>
void StreamMixer<T>::read_backward_tile(const Context& ctx, int l, const Tile& tile,
                                        const PreNorm<T>& norm) const {
    const Index c = this->shape().channels, width = streams_ * c;
    const bool last = l > this->sublayers();
    const Projection p = projection(l);
    const T* in = x(ctx, l) + tile.begin * width;
    Real *d = at(ctx(row_), tile.chunk), *dcoef = at(ctx(dcoef_), tile.chunk);
    Real *ab = at(ctx(ab_), tile.chunk), *dx = ctx(dx_).data + tile.begin * width;
    const T* v = last ? nullptr : this->slot(ctx, l).row(tile.begin);
    std::fill_n(dcoef, n_coef() * kTile, Real(0));
    for (int t = 0; t < tile.n; ++t) {
        norm.gradient(tile.begin + t, d + t * c);
        if (last)
            for (int s = 0; s < streams_; ++s)
                dcoef[s * kTile + t] = dot_vecs<K, Real>(in + t * width + s * c, d + t * c, c);
        else
            coefficient_gradients<K>(streams_, c, in + t * width, v + t * c, d + t * c,
                                     dx + t * width, dcoef + t);
    }
    const Index numbers = u_[index(l)].shape.extent(1);
    Real* du = at(ctx(du_), tile.chunk) + tile.index % kTilesPerChunk * numbers * kTile;
    coefficients_backward(ctx, l, tile, {dcoef, du, ab, ab + streams_ * kTile});
    const Real* pre = coef(ctx, l, tile.index);
    const SiteGradient<Real, T> g{
        .streams = streams_,
        .c = c,
        .x = in,
        .d = d,
        .dx = dx,
        .last = last,
        .pre = pre,
        .res = pre + 2 * streams_ * kTile,
        .post_before = l > 1 ? coef(ctx, l - 1, tile.index) + streams_ * kTile : nullptr,
        .dv = ctx(dv_).row(tile.begin),
        .m = p.m,
        .shared = p.shared,
        .du = du,
        .packed = ctx(packed_).data,
        .a = ab,
        .b = ab + streams_ * kTile};
    if (p.shared)
        stream_gradients<K, true>(g, tile.n);
    else
        stream_gradients<K, false>(g, tile.n);
}

template <class T>
template <int K>
void StreamMixer<T>::weight_gradients(const Context& ctx, int l, Index begin, Index end,
                                      Index chunk) const {
    const Projection p = projection(l);
    if (p.m == 0) return;
    const Index c = this->shape().channels, width = streams_ * c;
    const T* in = x(ctx, l) + begin * width;
    Real *du = at(ctx(du_), chunk), *dpacked = at(ctx(dpacked_), chunk);
    const int rows = p.shared ? streams_ : 1, n = static_cast<int>(end - begin);
    for (int s = 0; s < parts(p); ++s)
        weight_gradient<K>(n, rows, c, in + s * c, width, p.m, du, dpacked + s * packed_size(p));
}

// Adds up the chunks' sums, in order.
template <class T>
void StreamMixer<T>::reduce(const Context& ctx, int l) const {
    const Index chunks = n_chunks(this->shape().tokens), c = this->shape().channels;
    const Projection p = projection(l);
    constexpr Index width = kVec<Real>;
    const Index vecs = packed_vecs<Real>(c), size = packed_size(p);
    std::array<Real*, kMaxStreams*(kMaxStreams + 2)> dw{};
    for (int i = 0; i < p.m; ++i) dw[static_cast<std::size_t>(i)] = dweights(ctx, l, i);
    const View<Real> dpacked = ctx(dpacked_), partial = ctx(partial_);
    if (p.m > 0)
        for_tokens(ctx, parts(p) * vecs, [&](Index part_v) {
            const Index s = part_v / vecs, v = part_v % vecs;
            for (int i = 0; i < p.m; ++i) {
                Vec<Real> sum{};
                const Real* from = dpacked.data + s * size + (v * p.m + i) * width;
                for (Index k = 0; k < chunks; ++k)
                    sum += load<Real>(from + k * dpacked.extent(1), Full<Real>{});
                Real* to = dw[static_cast<std::size_t>(i)] + s * c + v * width;
                for (Index j = 0; j < std::min(width, c - v * width); ++j) to[j] += sum[j];
            }
        });
    Real sums[kMaxStreams * (kMaxStreams + 4)]{};
    for (Index k = 0; k < chunks; ++k)
        for (int i = 0; i < n_partials(); ++i)
            for (int t = 0; t < kTile; ++t) sums[i] += at(partial, k)[i * kTile + t];
    add_partials(ctx, l, sums);
}

// Each stream as a row of coefficients over the v_i, carried along the walk.
template <class T>
void StreamMixer<T>::do_depth_matrix(const Context& ctx, Index token, View<Real> m) const {
    const Index rows = this->sublayers() + 1;
    std::vector<Real> e(static_cast<std::size_t>(streams_ * rows), Real(0)), mixed(e);
    for (int k = 0; k < streams_; ++k) e[static_cast<std::size_t>(k * rows)] = Real(1);
    for (int l = 1; l <= rows; ++l) {
        const Real* pre = coef(ctx, l, token / kTile) + token % kTile;
        const Real *post = pre + streams_ * kTile, *res = post + streams_ * kTile;
        for (int s = 0; s < streams_; ++s)
            axpy(pre[s * kTile], e.data() + s * rows, m.data + (l - 1) * rows, rows);
        if (l == rows) break;
        std::fill(mixed.begin(), mixed.end(), Real(0));
        for (int k = 0; k < streams_; ++k) {
            for (int s = 0; s < streams_; ++s)
                axpy(res[(s * streams_ + k) * kTile], e.data() + s * rows, mixed.data() + k * rows,
                     rows);
            mixed[static_cast<std::size_t>(k * rows + l)] = post[k * kTile];
        }
        e.swap(mixed);
    }
}

template class StreamMixer<float>;
template class StreamMixer<double>;
template class StreamMixer<Bf16>;

}  // namespace plumb
