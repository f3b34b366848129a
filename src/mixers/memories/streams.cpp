#include "mixers/memories/streams.h"

#include "core/parallel.h"
#include "mixers/derive_matrix.h"
#include "ops/pre_norm_cpu.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {

template <class T>
Streams<T>::Streams(RulePtr rule)
    : DepthMixer<T>(rule->shape()), rule_(std::move(rule)), streams_(rule_->rows(1)) {
    for (int l = 1; l <= this->sublayers() + 1; ++l) sites_.push_back({{*rule_, l}, {}, {}, {}});
}

template <class T>
void Streams<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    v_.push_back(plan.scratch<T>("mixer.v.0", this->token_shape()));
    for (int l = 1; l <= this->sublayers(); ++l)
        v_.push_back(plan.saved<T>(fmt::format("mixer.v.{}", l), this->token_shape()));
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        Site& s = site(l);
        s.params.declare(params, l, this->layout());
        const auto name = [l](const char* what) { return fmt::format("mixer.{}.{}", what, l); };
        const auto lanes = [&](const char* what, int n) {
            return plan.saved<Lane>(name(what), {{'N', n_tiles(this->shape().tokens)}, {'M', n}});
        };
        s.x = plan.saved<T>(name("x"),
                            {{'N', this->shape().tokens}, {'K', streams_}, {'C', channels()}});
        s.u = lanes("u", s.dots.n);
        s.scalars = lanes("scalars", n_scalars(l));
    }
    declare_scratch(plan);
}

template <class T>
void Streams<T>::declare_scratch(Plan& plan) {
    const Index n = this->shape().tokens, c = channels(), chunks = n_chunks(n);
    Index packed = 0, most_u = 0, most_sums = 0;
    for (const Site& s : sites_) {
        packed = std::max(packed, parts(s.dots) * packed_size(s.dots));
        most_u = std::max<Index>(most_u, s.dots.n);
        most_sums = std::max(most_sums, s.n_numbers + std::ssize(s.dots.totals));
    }
    dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    dx_ = plan.scratch<Real>("mixer.dx", {{'N', n}, {'K', streams_}, {'C', c}});
    row_ = plan.cpu_scratch<Real>("mixer.row", {{'P', chunks}, {'T', kTile}, {'C', c}});
    numbers_ = plan.cpu_scratch<Lane>("mixer.numbers", {{'M', most_sums}});
    dscalars_ = plan.cpu_scratch<Lane>("mixer.dscalars", {{'P', chunks}, {'M', n_scalars(1)}});
    du_ = plan.cpu_scratch<Lane>("mixer.du", {{'P', chunks}, {'T', kTilesPerChunk}, {'M', most_u}});
    sums_ = plan.cpu_scratch<Lane>("mixer.sums", {{'P', chunks}, {'M', most_sums}});
    packed_ = plan.cpu_scratch<Real>("mixer.packed", {{'W', packed}});
    dpacked_ = plan.cpu_scratch<Real>("mixer.dpacked", {{'P', chunks}, {'W', packed}});
}

// ---- a site of a frame --------------------------------------------------------------------------

template <class T>
auto Streams<T>::open(const Context& ctx, int l) const -> Open {
    const Site& s = site(l);
    Open o{.l = l,
           .dots = s.dots,
           .x = ctx(s.x).data,
           .before = l > 1 ? ctx(site(l - 1).x).data : nullptr,
           .v = ctx(v_[static_cast<std::size_t>(l - 1)]).data,
           .u = ctx(s.u),
           .scalars = ctx(s.scalars),
           .scalars_before = l > 1 ? ctx(site(l - 1).scalars) : View<Lane>{},
           .numbers = ctx(numbers_).data,
           .w = {},
           .totals = {}};
    for (int i = 0; i < s.dots.m; ++i) o.w[static_cast<std::size_t>(i)] = vector(ctx, l, i);
    for (std::size_t i = 0; i < s.dots.totals.size(); ++i) {
        Real moments[2];
        stream_moments<0>(1, channels(), o.w[static_cast<std::size_t>(s.dots.totals[i][1])],
                          moments);
        o.totals[i] = moments[0];
    }
    s.params.numbers(ctx, ctx(numbers_).data);
    return o;
}

template <class T>
void Streams<T>::stream(const Context& ctx, int l, View<Real> out) const {
    widen<T>(ctx, ctx(site(l + 1).x), out);
}

template <class T>
auto Streams<T>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    return [this, ctx](Index n, View<Real> m, int) {
        derive_matrix<Real>(
            *rule_,
            [&](int l, std::vector<double>& c, std::vector<double>& a) {
                const Lane* scalars = ctx(site(l).scalars).row(n / kTile);
                const auto take = [&](std::vector<double>& to, int count) {
                    for (to.clear(); count > 0; --count)
                        to.push_back(static_cast<double>((scalars++)->data()[n % kTile]));
                };
                take(c, streams_);
                take(a, n_scalars(l) - streams_);
            },
            m);
    };
}

// Forward: X before and after, v. Backward: X, v, dv; dX.
template <class T>
MovedNumbers Streams<T>::moves(DepthCall call, int l) const {
    const Index c = channels(), ends = l > this->sublayers() ? 1 : 2, starts = l > 1 ? 2 : 1;
    if (call == DepthCall::read)
        return {(starts * streams_ + 1) * c, starts * n_scalars(1) + n_projected(l)};
    if (call != DepthCall::read_backward) return {};
    return {(streams_ + ends) * c, ends * streams_ * c + n_scalars(1) + n_projected(l)};
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void Streams<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Open s = open(ctx, l);
    with_streams<Real>(streams_, channels(), [&](auto k) {
        for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
            for_tiles(begin, end, chunk,
                      [&](const Tile& tile) { read_tile<k.value>(ctx, s, tile, norm); });
        });
    });
}

template <class T>
template <int K>
void Streams<T>::read_tile(const Context& ctx, const Open& s, const Tile& tile,
                           const PreNorm<T>& norm) const {
    const Index c = channels(), width = streams_ * c;
    T* x = s.x + tile.begin * width;
    const T *v = s.v + tile.begin * c, *before = s.before + tile.begin * width;
    for (int t = 0; t < tile.n; ++t)
        if (s.l == 1)
            for (int k = 0; k < streams_; ++k) std::copy_n(v + t * c, c, x + t * width + k * c);
        else
            write_streams<K>(streams_, c, before + t * width, v + t * c,
                             s.scalars_before.row(tile.index)[streams_].data() + t, x + t * width);
    Lane* scalars = s.scalars.row(tile.index);
    dots_of_tile<K>(s, tile);
    site(s.l).program.forward(s.u.row(tile.index), s.numbers, scalars);
    Real* h = ctx(row_).data + tile.chunk * kTile * c;
    for (int t = 0; t < tile.n; ++t) {
        read_streams<K>(streams_, c, x + t * width, scalars->data() + t, h);
        norm_put(norm, tile.begin + t, h);
    }
}

template <class T>
template <int K>
void Streams<T>::dots_of_tile(const Open& s, const Tile& tile) const {
    if (s.dots.n == 0) return;
    const Index c = channels(), width = streams_ * c;
    const T* x = s.x + tile.begin * width;
    Lane* u = s.u.row(tile.index);
    for (std::size_t i = 0; i < s.dots.totals.size(); ++i)
        u[s.dots.totals[i][0]] = Lane(static_cast<double>(s.totals[i]));
    if (s.dots.end_to_end) {  // long enough for the next tile to arrive meanwhile
        const T* coming = (s.before ? s.before : s.x) + tile.begin * width;
        project<K>(tile.n, width, x, coming, width, s.dots.m, s.w.data(),
                   u[s.dots.projection[0]].data());
    } else {
        for (int k = 0; k < streams_; ++k)
            project<K>(tile.n, c, x + k * c, static_cast<const T*>(nullptr), width, s.dots.m,
                       s.w.data(), u[s.dots.projection[static_cast<std::size_t>(k)]].data());
    }
    for (int t = 0; t < tile.n; ++t) {
        Real moments[2 * kMaxStreams];
        const auto put = [&](int place, Real value) {
            if (place >= 0) u[place].data()[t] = value;
        };
        if (s.dots.end_to_end) {
            put(s.dots.square[0], row_dot(x + t * width, x + t * width, width));
            continue;
        }
        stream_moments<K>(streams_, c, x + t * width, moments);
        for (std::size_t k = 0; k < static_cast<std::size_t>(streams_); ++k)
            put(s.dots.sum[k], moments[2 * k]), put(s.dots.square[k], moments[2 * k + 1]);
    }
    tile.fill(s.dots.n, u);
}

// ---- backward: dx_ is of the streams after the site, then of those at it ------------------------

template <class T>
void Streams<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels();
    const Open s = open(ctx, l);
    for (int part = 0; s.dots.m > 0 && part < parts(s.dots); ++part)
        pack_weights(c, s.dots.m, s.w.data(), part * c,
                     ctx(packed_).data + part * packed_size(s.dots));
    with_streams<Real>(streams_, c, [&](auto k) {
        for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
            std::fill_n(ctx(sums_).row(chunk), ctx(sums_).extent(1), Lane(0));
            for_tiles(begin, end, chunk,
                      [&](const Tile& tile) { read_backward_tile<k.value>(ctx, s, tile, norm); });
            vector_gradients<k.value>(ctx, s, begin, end, chunk);
        });
    });
    add_numbers(ctx, s);
    add_vectors(ctx, s);
}

template <class T>
template <int K>
void Streams<T>::read_backward_tile(const Context& ctx, const Open& s, const Tile& tile,
                                    const PreNorm<T>& norm) const {
    const Index c = channels(), width = streams_ * c;
    const bool last = s.l > this->sublayers();
    const T* x = s.x + tile.begin * width;
    const T* v = last ? nullptr : this->slot(ctx, s.l).row(tile.begin);
    Real *d = ctx(row_).data + tile.chunk * kTile * c, *dx = ctx(dx_).data + tile.begin * width;
    Lane* dscalars = ctx(dscalars_).row(tile.chunk);
    if (tile.n < kTile) std::fill_n(dscalars, n_scalars(s.l), Lane(0));
    for (int t = 0; t < tile.n; ++t) {
        norm_gradient(norm, tile.begin + t, d + t * c);
        if (last)
            for (int k = 0; k < streams_; ++k)
                dscalars[k].data()[t] = row_dot(x + t * width + k * c, d + t * c, c);
        else
            scalar_gradients<K>(streams_, c, x + t * width, v + t * c, d + t * c, dx + t * width,
                                dscalars->data() + t);
    }
    const View<Lane> all_du = ctx(du_);
    Lane* du = all_du.row(tile.chunk * kTilesPerChunk) + tile.index % kTilesPerChunk * s.dots.n;
    Lane* sums = ctx(sums_).row(tile.chunk);
    const int n_numbers = site(s.l).n_numbers;
    std::fill_n(du, s.dots.n, Lane(0));
    site(s.l).program.backward(s.u.row(tile.index), s.numbers, dscalars, du, sums);
    for (std::size_t i = 0; i < s.dots.totals.size(); ++i)
        sums[n_numbers + static_cast<int>(i)] += du[s.dots.totals[i][0]];
    Lane along[kMaxStreams]{}, level[kMaxStreams]{};
    for (std::size_t k = 0; k < static_cast<std::size_t>(streams_); ++k) {
        if (s.dots.square[k] >= 0) along[k] = Lane(2) * du[s.dots.square[k]];
        if (s.dots.sum[k] >= 0) level[k] = du[s.dots.sum[k]];
    }
    const Lane* scalars = s.scalars.row(tile.index);
    const SiteGradient<Real, T> g{
        .streams = streams_,
        .c = c,
        .x = x,
        .d = d,
        .dx = dx,
        .last = last,
        .read = scalars->data(),
        .write = scalars->data() + streams_ * kTile,
        .write_before =
            s.l > 1 ? s.scalars_before.row(tile.index)->data() + streams_ * kTile : nullptr,
        .dv = ctx(dv_).row(tile.begin),
        .m = s.dots.m,
        .du = reinterpret_cast<const Real*>(du),
        .projection = s.dots.projection.data(),
        .packed = ctx(packed_).data,
        .along = along->data(),
        .level = level->data()};
    if (s.dots.end_to_end)
        stream_gradients<K, false>(g, tile.n);
    else
        stream_gradients<K, true>(g, tile.n);
}

template <class T>
template <int K>
void Streams<T>::vector_gradients(const Context& ctx, const Open& s, Index begin, Index end,
                                  Index chunk) const {
    if (s.dots.m == 0) return;
    const Index c = channels(), width = streams_ * c;
    const auto* du = reinterpret_cast<const Real*>(ctx(du_).row(chunk * kTilesPerChunk));
    const int rows = s.dots.end_to_end ? 1 : streams_, n = static_cast<int>(end - begin);
    for (int part = 0; part < parts(s.dots); ++part)
        weight_gradient<K>(n, rows, c, s.x + begin * width + part * c, width, s.dots.m, du,
                           s.dots.n, s.dots.projection.data(),
                           ctx(dpacked_).row(chunk) + part * packed_size(s.dots));
}

// The chunks' sums, in order, into the gradients of the site's numbers and of <1, w>.
template <class T>
void Streams<T>::add_numbers(const Context& ctx, const Open& s) const {
    const View<Lane> sums = ctx(sums_);
    Index next = 0;
    const auto sum = [&] {
        Real all = 0;
        for (Index chunk = 0; chunk < sums.extent(0); ++chunk) all += sums.row(chunk)[next].total();
        ++next;
        return all;
    };
    site(s.l).params.for_numbers(ctx, [&](Real, Real& to) { to += sum(); });
    for (const auto& [u, i] : s.dots.totals) {
        Real *to = vector(ctx, s.l, i, true), d = sum();
        for (Index k = 0; k < channels(); ++k) to[k] += d;
    }
}

template <class T>
void Streams<T>::add_vectors(const Context& ctx, const Open& s) const {
    const Index c = channels(), vecs = packed_vecs<Real>(c), size = packed_size(s.dots);
    constexpr Index width = kVec<Real>;
    std::array<Real*, StreamDots::kMostVectors> dw{};
    for (int i = 0; i < s.dots.m; ++i) dw[static_cast<std::size_t>(i)] = vector(ctx, s.l, i, true);
    const View<Real> dpacked = ctx(dpacked_);
    if (s.dots.m == 0) return;
    for_tokens(ctx, parts(s.dots) * vecs, [&](Index part_v) {
        const Index part = part_v / vecs, v = part_v % vecs;
        for (int i = 0; i < s.dots.m; ++i) {
            Vec<Real> sum{};
            for (Index chunk = 0; chunk < dpacked.extent(0); ++chunk)
                sum += load<Real>(dpacked.row(chunk) + part * size + (v * s.dots.m + i) * width,
                                  Full<Real>{});
            Real* to = dw[static_cast<std::size_t>(i)] + part * c + v * width;
            for (Index j = 0; j < std::min(width, c - v * width); ++j) to[j] += sum[j];
        }
    });
}

template class Streams<float>;
template class Streams<double>;
template class Streams<Bf16>;

}  // namespace plumb
