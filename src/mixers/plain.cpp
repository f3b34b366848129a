#include "mixers/plain.h"

#include "core/parallel.h"
#include "ops/depth_mix.h"
#include "ops/matmul.h"
#include "ops/pre_norm_cpu.h"
#include "ops/reduce.h"

#include <cmath>

namespace plumb {

template <class T>
template <class X>
auto Plain<T>::rms_scale(const X* x) const -> Real {
    const auto c = static_cast<Real>(channels());
    return 1 / std::sqrt(row_dot(x, x, channels()) / c + static_cast<Real>(this->shape().norm_eps));
}

// ---- images -------------------------------------------------------------------------------------

// RMSNorm of the image's row, and W' = diag(gain) W.
template <class T>
void Plain<T>::make_normed(const Context& ctx, const Pass& pass, int l) const {
    const Index c = channels();
    const View<Real> normed = ctx(normed_), matrix = ctx(matrix_);
    for_tokens(ctx, tokens(), [&](Index n) {
        pass.row(site(l).image.cell).with(n, [&](const auto* x) {
            const Real scale = rms_scale(x);
            for (Index k = 0; k < c; ++k) normed.row(n)[k] = scale * static_cast<Real>(x[k]);
        });
    });
    const Real* w = matrix_of(ctx, l);
    std::copy_n(w, c * c, matrix.data);
    const Real* gain = image_gain(ctx, l);
    for (Index o = 0; gain && o < c; ++o)
        for (Index k = 0; k < c; ++k) matrix.row(o)[k] *= gain[o];
}

template <class T>
void Plain<T>::make_image(const Context& ctx, const Pass& pass, int l) const {
    const Index c = channels();
    if (site(l).image.cell < 0) return;
    make_normed(ctx, pass, l);
    gemm<Real>(ctx, Op::none, Op::transpose, tokens(), c, c, 1, ctx(normed_).data, c,
               ctx(matrix_).data, c, 0, ctx(site(l).image_values).data, c);
}

// From dimage_: y = W' x, x = row / rms(row).
template <class T>
void Plain<T>::image_backward(const Context& ctx, const Pass& pass, int l) const {
    const Index c = channels();
    const Image& image = site(l).image;
    if (image.cell < 0) return;
    make_normed(ctx, pass, l);
    const View<Real> normed = ctx(normed_), matrix = ctx(matrix_), dy = ctx(dimage_),
                     dx = ctx(site(l).image_values);  // the values are of no further use
    gemm<Real>(ctx, Op::none, Op::none, tokens(), c, c, 1, dy.data, c, matrix.data, c, 0, dx.data,
               c);
    gemm<Real>(ctx, Op::transpose, Op::none, c, c, tokens(), 1, dy.data, c, normed.data, c, 0,
               matrix.data, c);  // dW'
    const Real *w = matrix_of(ctx, l), *gain = image_gain(ctx, l);
    Real *dw = matrix_of(ctx, l, true), *dgain = image_gain(ctx, l, true);
    for (Index o = 0; o < c; ++o) {
        const Real* d = matrix.row(o);
        if (gain) dgain[o] += row_dot(d, w + o * c, c);
        axpy(gain ? gain[o] : Real(1), d, dw + o * c, c);
    }
    for_tokens(ctx, tokens(), [&](Index n) {
        const Real *x = normed.row(n), *d = dx.row(n), along = row_dot(x, d, c) / Real(c);
        Real *out = pass.row(image.cell).gradient(n), scale = 0;
        pass.row(image.cell).with(n, [&](const auto* row) { scale = rms_scale(row); });
        for (Index k = 0; k < c; ++k) out[k] += scale * (d[k] - x[k] * along);
    });
}

// ---- dot products and mixes ---------------------------------------------------------------------

template <class T>
template <class F>
void Plain<T>::forward(const Context& ctx, const Pass& pass, int l, const Half& half, F&& f) const {
    const View<Lane> dots = ctx(site(l).dots.tiles), weights = ctx(half.weights.tiles);
    for_chunks(ctx, tokens(), [&](Index begin, Index end, Index chunk) {
        for_tiles(begin, end, chunk, [&](const Tile& tile) {
            Lane *u = dots.row(tile.index), *w = weights.row(tile.index);
            std::fill(u + half.begin, u + half.end, Lane(0));
            for (int t = 0; t < tile.n; ++t)
                for (const Product& p : half.products)
                    pass.row(p.a).with(tile.begin + t, [&](const auto* a) {
                        pass.row(p.b).with(tile.begin + t, [&](const auto* b) {
                            u[p.to].data()[t] += row_dot(a + p.first, b + p.first, p.width);
                        });
                    });
            tile.fill(half.end - half.begin, u + half.begin);
            half.program->forward(u, pass.numbers.data(), w);
            f(tile, w);
        });
    });
}

template <class T>
template <class F>
void Plain<T>::backward(const Context& ctx, const Pass& pass, int l, const Half& half, bool first,
                        F&& f) const {
    const View<Lane> dots = ctx(site(l).dots.tiles), weights = ctx(half.weights.tiles),
                     all_du = ctx(du_);
    const Index n_numbers = site(l).params.count(RuleParam::Is::numbers),
                n_weights = half.program->n_outputs();
    for_chunks(ctx, tokens(), [&](Index begin, Index end, Index chunk) {
        static thread_local std::vector<Lane> dp;  // kept: a step allocates nothing
        dp.assign(static_cast<std::size_t>(n_numbers), Lane(0));
        double* sums = ctx(dnumbers_).row(chunk);
        if (first) {
            std::fill_n(sums, n_numbers, 0.0);
            std::fill_n(ctx(dvectors_).row(chunk), most_vectors_ * channels(), Real(0));
        }
        for_tiles(begin, end, chunk, [&](const Tile& tile) {
            Lane *dweights = ctx(dweights_).row(chunk), *du = all_du.row(tile.index);
            if (tile.n < kTile) std::fill_n(dweights, n_weights, Lane(0));
            f(tile, weights.row(tile.index), dweights);
            if (first) std::fill_n(du, site(l).write.end, Lane(0));
            half.program->backward(dots.row(tile.index), pass.numbers.data(), dweights, du,
                                   dp.data());
            for (int t = 0; t < tile.n; ++t) dots_backward(pass, half, tile.begin + t, du);
        });
        for (const Lane& d : dp) *sums++ += d.total();
    });
}

template <class T>
void Plain<T>::dots_backward(const Pass& pass, const Half& half, Index n, const Lane* du) const {
    for (const Product& p : half.products) {
        const auto factor = static_cast<Real>(lane(du[p.to], n));
        const auto add = [&](const Row& from, const Row& to) {
            from.with(n, [&](const auto* x) {
                axpy(factor, x + p.first, to.gradient(n) + p.first, p.width);
            });
        };
        add(pass.row(p.b), pass.row(p.a));
        add(pass.row(p.a), pass.row(p.b));
    }
}

// out (C), of the mix's group: sum of weights times cells. Overwrites.
template <class T>
void Plain<T>::apply(const Pass& pass, const Mix& mix, const Lane* weights, Index n,
                     Real* out) const {
    const Index width = channels() / rule_->groups(), first = mix.group * width;
    std::fill_n(out + first, width, Real(0));
    for (const PlainPlan::Term& term : mix.terms)
        pass.row(term.cell).with(n, [&](const auto* x) {
            axpy(static_cast<Real>(lane(weights[term.at], n)), x + first, out + first, width);
        });
}

// Gradients of cells (added) and of weights (overwritten) from dout (C).
template <class T>
void Plain<T>::apply_backward(const Pass& pass, const Mix& mix, const Lane* weights, Index n,
                              const Real* dout, Lane* dweights) const {
    const Index width = channels() / rule_->groups(), first = mix.group * width;
    for (const PlainPlan::Term& term : mix.terms) {
        const Row& row = pass.row(term.cell);
        row.with(n, [&](const auto* x) {
            dweights[term.at].data()[n % kTile] = row_dot(x + first, dout + first, width);
        });
        axpy(static_cast<Real>(lane(weights[term.at], n)), dout + first, row.gradient(n) + first,
             width);
    }
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void Plain<T>::read(Cpu, const Context& ctx, int l, PreNorms norms) const {
    const Pass& pass = open(ctx, l);
    make_image(ctx, pass, l);
    forward(ctx, pass, l, site(l).read, [&](const Tile& tile, const Lane* weights) {
        Real* h = ctx(row_).row(tile.chunk);
        for (Index n = tile.begin; n < tile.begin + tile.n; ++n)
            for (std::size_t way = 0; way < norms.size(); ++way) {
                for (const Mix& mix : reads_of(l, way)) apply(pass, mix, weights, n, h);
                norm_put(norms[way], n, h);
            }
    });
}

template <class T>
void Plain<T>::write(Cpu, const Context& ctx, int l) const {
    const std::vector<Mix>& writes = plan_.site(l).writes;
    const Pass& pass = open(ctx, l);
    forward(ctx, pass, l, site(l).write, [&](const Tile& tile, const Lane* weights) {
        for (Index n = tile.begin; n < tile.begin + tile.n; ++n)
            for (const Mix& mix : writes)
                apply(pass, mix, weights, n, pass.row(mix.to).real + n * channels());
    });
}

template <class T>
void Plain<T>::stream(Cpu, const Context& ctx, int l, View<Real> out) const {
    const std::vector<Cell>& rows = plan_.site(l + 1).rows;
    const auto all = static_cast<std::size_t>(rule_->rows(l + 1)),
               newest = static_cast<std::size_t>(rule_->stream_rows());
    for_tokens(ctx, tokens(), [&](Index n) {
        Real* to = out.row(n);
        for (std::size_t r = all - newest; r < all; ++r, to += channels())
            ctx(pass_).row(rows[r]).with(n, [&](const auto* x) { copy_row(x, to, channels()); });
    });
}

// ---- backward -----------------------------------------------------------------------------------

template <class T>
void Plain<T>::read_backward(Cpu, const Context& ctx, int l, PreNorms norms) const {
    const Pass& pass = open(ctx, l);
    const Index c = channels();
    const bool last = l > sublayers(), wrote = !last && !plan_.site(l).writes.empty();
    const auto clear = [&](Real* d) {
        for_tokens(ctx, tokens(), [&](Index n) { std::fill_n(d + n * c, c, Real(0)); });
    };
    for (int cell = 0; last && cell < plan_.n_cells(); ++cell) clear(pass.row(cell).d);
    if (site(l).image.cell >= 0) clear(ctx(dimage_).data);
    backward(ctx, pass, l, site(l).read, !wrote,
             [&](const Tile& tile, const Lane* weights, Lane* dweights) {
                 Real* d = ctx(row_).row(tile.chunk);
                 for (Index n = tile.begin; n < tile.begin + tile.n; ++n)
                     for (std::size_t way = 0; way < norms.size(); ++way) {
                         norm_gradient(norms[way], n, d);
                         for (const Mix& mix : reads_of(l, way))
                             apply_backward(pass, mix, weights, n, d, dweights);
                     }
             });
    image_backward(ctx, pass, l);
    add_parameters(ctx, l);
}

template <class T>
void Plain<T>::write_backward(Cpu, const Context& ctx, int l) const {
    const std::vector<Mix>& writes = plan_.site(l).writes;
    const Pass& pass = open(ctx, l);
    backward(ctx, pass, l, site(l).write, true,
             [&](const Tile& tile, const Lane* weights, Lane* dweights) {
                 for (Index n = tile.begin; n < tile.begin + tile.n; ++n)
                     for (const Mix& mix : writes)
                         apply_backward(pass, mix, weights, n, pass.row(mix.to).gradient(n),
                                        dweights);
             });
}

template <class T>
void Plain<T>::round(Cpu, const Context& ctx, View<const Real> x, View<T> y) const {
    for_tokens(ctx, tokens(), [&](Index n) { copy_row(x.row(n), y.row(n), channels()); });
}

// ---- on whichever device ------------------------------------------------------------------------

template <class T>
void Plain<T>::do_read_ways(const Context& ctx, int l, PreNorms norms) {
    dispatch(ctx, "mixer", [&](auto device) { read(device, ctx, l, norms); });
}

template <class T>
void Plain<T>::do_write(const Context& ctx, int l) {
    if (plan_.site(l).writes.empty()) return;
    dispatch(ctx, "mixer", [&](auto device) { write(device, ctx, l); });
}

template <class T>
void Plain<T>::do_read_backward_ways(const Context& ctx, int l, PreNorms norms) {
    dispatch(ctx, "mixer", [&](auto device) { read_backward(device, ctx, l, norms); });
}

template <class T>
View<const T> Plain<T>::do_write_backward(const Context& ctx, int l) {
    if (!plan_.site(l).writes.empty())
        dispatch(ctx, "mixer", [&](auto device) { write_backward(device, ctx, l); });
    return output_gradient(ctx, l);
}

template <class T>
View<const T> Plain<T>::do_begin_backward(const Context& ctx) {
    return output_gradient(ctx, 0);
}

template <class T>
View<const T> Plain<T>::output_gradient(const Context& ctx, int l) const {
    const View<Real> d = ctx(gradients_[static_cast<std::size_t>(l)]);
    if constexpr (!kRounds)
        return d;
    else {
        const View<T> dv = ctx(dv_);
        dispatch(ctx, "mixer", [&](auto device) { round(device, ctx, d, dv); });
        return dv;
    }
}

template <class T>
void Plain<T>::stream(const Context& ctx, int l, View<Real> out) const {
    dispatch(ctx, "mixer", [&](auto device) { stream(device, ctx, l, out); });
}

template <class T>
MovedNumbers Plain<T>::moves(DepthCall call, int l) const {
    if (call == DepthCall::begin || call == DepthCall::begin_backward) return {};
    const PlainPlan::Site& s = plan_.site(l);
    const Index c = channels(), rows = std::ssize(s.rows),
                outputs = std::count_if(s.rows.begin(), s.rows.end(),
                                        [&](Cell cell) { return plan_.is_output(cell); }),
                written = std::ssize(s.writes) * c / rule_->groups();
    switch (call) {
        case DepthCall::read:
            return {outputs * c, (rows - outputs) * c};
        case DepthCall::read_backward:
            return {outputs * c, (rows - outputs + 2 * rows) * c};
        default:
            return {0, call == DepthCall::write ? written : 3 * written};
    }
}

template class Plain<float>;
template class Plain<double>;
template class Plain<Bf16>;

}  // namespace plumb
