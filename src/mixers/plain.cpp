#include "mixers/plain.h"

#include "core/parallel.h"
#include "ops/depth_mix.h"
#include "ops/matmul.h"

namespace plumb {
namespace {

using Vars = std::vector<Var>;

Vars& on_tape(Tape& tape, Vars& vars, const double* x, Index n) {
    vars.clear();
    for (Index i = 0; i < n; ++i) vars.push_back(tape.input(x[i]));
    return vars;
}
Vars& zeros(Vars& vars, Index n) {
    vars.assign(static_cast<std::size_t>(n), Var());
    return vars;
}

// What a thread's tapes run on.
struct Scratch {
    Vars u, w, p, out;
};
Scratch& scratch() {
    static thread_local Scratch vars;
    return vars;
}

}  // namespace

// ---- dot products -------------------------------------------------------------------------------

template <class T>
template <class F>
void Plain<T>::with_side(const Pass& pass, int l, const Side& side, Index n, F&& f) const {
    if (side.is == Side::Is::cell)
        with_row(pass, side.index, n, f);
    else if (side.is == Side::Is::vector)
        f(static_cast<const Real*>(pass.vectors + side.index * channels()));
    else
        f(static_cast<const Real*>(here(pass, l).images[static_cast<std::size_t>(side.index)] +
                                   n * channels()));
}

template <class T>
RealOf<T>* Plain<T>::side_gradient(const Pass& pass, const Side& side, Index n,
                                   const Bench& bench) const {
    if (side.is == Side::Is::cell) return gradient(pass, side.index, n);
    if (side.is == Side::Is::vector) return bench.dvectors + side.index * channels();
    return pass.dimage + n * channels();  // of the site's only image
}

template <class T>
void Plain<T>::take_dots(const Pass& pass, int l, const std::vector<Product>& products, Index n,
                         double* out) const {
    for (const Product& p : products) out[p.to] = 0;
    for (const Product& p : products)
        with_side(pass, l, p.a, n, [&](const auto* a) {
            with_side(pass, l, p.b, n, [&](const auto* b) {
                out[p.to] += static_cast<double>(row_dot(a + p.first, b + p.first, p.width));
            });
        });
}

template <class T>
void Plain<T>::dots_backward(const Pass& pass, int l, const std::vector<Product>& products, Index n,
                             const double* d, const Bench& bench) const {
    for (const Product& p : products) {
        const auto factor = static_cast<Real>(d[p.to]);
        const auto add = [&](const Side& from, const Side& to) {
            Real* out = side_gradient(pass, to, n, bench) + p.first;
            with_side(pass, l, from, n, [&](const auto* x) {
#pragma omp simd
                for (Index k = 0; k < p.width; ++k)
                    out[k] += factor * static_cast<Real>(x[p.first + k]);
            });
        };
        add(p.b, p.a);
        add(p.a, p.b);
    }
}

template <class T>
void Plain<T>::normed(const Context& ctx, const Pass& pass, Cell cell) const {
    const Index c = channels();
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        with_row(pass, cell, n, [&](const auto* x) {
            const Real scale = Real(1) / std::sqrt(row_dot(x, x, c) / static_cast<Real>(c) +
                                                   static_cast<Real>(this->shape().norm_eps));
            for (Index k = 0; k < c; ++k) pass.normed[n * c + k] = scale * static_cast<Real>(x[k]);
        });
    });
}

template <class T>
void Plain<T>::gained_matrix(const Pass& pass, int l, const Image& image) const {
    const Index c = channels();
    const Real* w = here(pass, l).matrix[static_cast<std::size_t>(image.matrix)];
    for (Index o = 0; o < c; ++o)
        for (Index k = 0; k < c; ++k)
            pass.matrix[o * c + k] =
                w[o * c + k] *
                (image.gain < 0 ? Real(1)
                                : here(pass, l).vector[static_cast<std::size_t>(image.gain)][o]);
}

template <class T>
void Plain<T>::make_images(const Context& ctx, const Pass& pass, int l) const {
    const Index c = channels(), n = this->shape().tokens;
    require(site(l).images.size() <= 1, "the plain memory makes one image a site");
    for (const Image& image : site(l).images) {
        normed(ctx, pass, image.cell);
        gained_matrix(pass, l, image);
        gemm<Real>(ctx, Op::none, Op::transpose, n, c, c, 1, pass.normed, c, pass.matrix, c, 0,
                   here(pass, l).images.front(), c);
    }
}

// From dimage_: y = W' x, x = row / rms(row), W' = diag(gain) W.
template <class T>
void Plain<T>::images_backward(const Context& ctx, const Pass& pass, int l) const {
    const Index c = channels(), n_tokens = this->shape().tokens;
    for (const Image& image : site(l).images) {
        normed(ctx, pass, image.cell);
        gained_matrix(pass, l, image);
        Real* dx = here(pass, l).images.front();  // of no further use
        gemm<Real>(ctx, Op::none, Op::none, n_tokens, c, c, 1, pass.dimage, c, pass.matrix, c, 0,
                   dx, c);
        gemm<Real>(ctx, Op::transpose, Op::none, c, c, n_tokens, 1, pass.dimage, c, pass.normed, c,
                   0, pass.matrix, c);  // dW'
        const auto at = static_cast<std::size_t>(image.matrix);
        for (Index o = 0; o < c; ++o)
            for (Index k = 0; k < c; ++k) {
                const Real d = pass.matrix[o * c + k];
                Real gain = 1;
                if (image.gain >= 0) {
                    gain = here(pass, l).vector[static_cast<std::size_t>(image.gain)][o];
                    here(pass, l).dvector[static_cast<std::size_t>(image.gain)][o] +=
                        d * here(pass, l).matrix[at][o * c + k];
                }
                here(pass, l).dmatrix[at][o * c + k] += d * gain;
            }
        for_tokens(ctx, n_tokens, [&](Index n) {
            const Real *x = pass.normed + n * c, *d = dx + n * c;
            Real scale = 0;
            with_row(pass, image.cell, n, [&](const auto* row) {
                scale = Real(1) / std::sqrt(row_dot(row, row, c) / static_cast<Real>(c) +
                                            static_cast<Real>(this->shape().norm_eps));
            });
            const Real along = row_dot(x, d, c) / static_cast<Real>(c);
            Real* out = gradient(pass, image.cell, n);
            for (Index k = 0; k < c; ++k) out[k] += scale * (d[k] - x[k] * along);
        });
    }
}

// ---- mixes --------------------------------------------------------------------------------------

// out (C), of the mix's group: sum of weights times cells. Overwrites.
template <class T>
void Plain<T>::apply(const Pass& pass, const PlainPlan::Mix& mix, const double* weights, Index n,
                     Real* out) const {
    const Index width = channels() / rule_->groups(), first = mix.group * width;
    std::fill_n(out + first, width, Real(0));
    for (const PlainPlan::Term& term : mix.terms) {
        const auto weight = static_cast<Real>(weights[term.at]);
        with_row(pass, term.cell, n, [&](const auto* x) {
#pragma omp simd
            for (Index k = 0; k < width; ++k)
                out[first + k] += weight * static_cast<Real>(x[first + k]);
        });
    }
}

// Gradients of cells (added) and of weights (overwritten) from dout (C).
template <class T>
void Plain<T>::apply_backward(const Pass& pass, const PlainPlan::Mix& mix, const double* weights,
                              Index n, const Real* dout, double* dweights) const {
    const Index width = channels() / rule_->groups(), first = mix.group * width;
    for (const PlainPlan::Term& term : mix.terms) {
        const auto weight = static_cast<Real>(weights[term.at]);
        Real* d = gradient(pass, term.cell, n);
        with_row(pass, term.cell, n, [&](const auto* x) {
            dweights[term.at] = static_cast<double>(row_dot(x + first, dout + first, width));
        });
#pragma omp simd
        for (Index k = 0; k < width; ++k) d[first + k] += weight * dout[first + k];
    }
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void Plain<T>::do_read_ways(const Context& ctx, int l, PreNorms norms) {
    const PlainPlan::Site& planned = plan_.site(l);
    const Pass& pass = open(ctx, l);
    const std::vector<double>& p = pass.p;
    make_images(ctx, pass, l);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(pass, chunk);
        for (Index n = begin; n < end; ++n) {
            double* u = here(pass, l).u.row(n);
            take_dots(pass, l, site(l).reads, n, u);
            std::fill_n(b.weights, planned.n_c, 0.0);
            rule_->read(l, u, p.data(), b.weights);
            for (std::size_t way = 0; way < norms.size(); ++way) {
                for (const PlainPlan::Mix& mix : reads_of(l, way))
                    apply(pass, mix, b.weights, n, b.row);
                norms[way].put(n, b.row);
            }
        }
    });
    this->template moved<T>(ctx, std::ssize(planned.rows) * channels());
}

template <class T>
void Plain<T>::do_write(const Context& ctx, int l) {
    const PlainPlan::Site& planned = plan_.site(l);
    if (planned.writes.empty()) return;
    const Pass& pass = open(ctx, l);
    const std::vector<double>& p = pass.p;
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(pass, chunk);
        for (Index n = begin; n < end; ++n) {
            double* w = here(pass, l).w.row(n);
            take_dots(pass, l, site(l).writes, n, w);
            std::fill_n(b.weights, planned.n_a, 0.0);
            rule_->write(l, here(pass, l).u.row(n), w, p.data(), b.weights);
            for (const PlainPlan::Mix& mix : planned.writes)
                apply(pass, mix, b.weights, n, mix_row(pass, mix.to, n));
        }
    });
    this->template moved<Real>(ctx, std::ssize(planned.writes) * channels());
}

template <class T>
void Plain<T>::stream(const Context& ctx, int l, Index n, Real* out) const {
    const Pass& pass = ctx(pass_);
    const std::vector<Cell>& rows = plan_.site(l + 1).rows;
    const auto all = static_cast<std::size_t>(rule_->rows(l + 1)),
               newest = static_cast<std::size_t>(rule_->stream_rows());
    for (std::size_t r = all - newest; r < all; ++r, out += channels())
        with_row(pass, rows[r], n, [&](const auto* x) { copy_row(x, out, channels()); });
}

// ---- backward -----------------------------------------------------------------------------------

template <class T>
void Plain<T>::do_read_backward_ways(const Context& ctx, int l, PreNorms norms) {
    const PlainPlan::Site& planned = plan_.site(l);
    const Pass& pass = open(ctx, l);
    const std::vector<double>& p = pass.p;
    const bool last = l > sublayers(), wrote = !last && !planned.writes.empty();
    const Index n_u = std::ssize(planned.read_dots);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(pass, chunk);
        if (!wrote) {  // else write_backward has begun these sums
            std::fill_n(b.dnumbers, most_numbers_, 0.0);
            std::fill_n(b.dvectors, most_vectors_ * channels(), Real(0));
        }
        for (Index n = begin; n < end; ++n) {
            if (last)
                for (Real* d : pass.gradients) std::fill_n(d + n * channels(), channels(), Real(0));
            if (!site(l).images.empty())
                std::fill_n(pass.dimage + n * channels(), channels(), Real(0));
            Tape tape;
            Scratch& vars = scratch();
            on_tape(tape, vars.u, here(pass, l).u.row(n), n_u);
            on_tape(tape, vars.p, p.data(), planned.n_numbers);
            zeros(vars.out, planned.n_c);
            rule_->read(l, vars.u.data(), vars.p.data(), vars.out.data());
            for (Index i = 0; i < planned.n_c; ++i)
                b.weights[i] = vars.out[static_cast<std::size_t>(i)].v;
            for (std::size_t way = 0; way < norms.size(); ++way) {
                norms[way].gradient(n, b.row);
                for (const PlainPlan::Mix& mix : reads_of(l, way))
                    apply_backward(pass, mix, b.weights, n, b.row, b.dweights);
            }
            for (const PlainPlan::Mix& mix : planned.reads)
                for (const PlainPlan::Term& term : mix.terms)
                    tape.seed(vars.out[static_cast<std::size_t>(term.at)], b.dweights[term.at]);
            tape.pull();
            for (Index i = 0; i < n_u; ++i)
                b.du[i] = tape.gradient(vars.u[static_cast<std::size_t>(i)]) +
                          (wrote ? pass.du.row(n)[i] : 0);
            for (Index i = 0; i < planned.n_numbers; ++i)
                b.dnumbers[i] += tape.gradient(vars.p[static_cast<std::size_t>(i)]);
            dots_backward(pass, l, site(l).reads, n, b.du, b);
        }
    });
    images_backward(ctx, pass, l);
    add_parameters(pass, l);
    this->template moved<T>(ctx, std::ssize(planned.rows) * channels());
    this->template moved<Real>(ctx, 2 * std::ssize(planned.rows) * channels());
}

template <class T>
View<const T> Plain<T>::do_write_backward(const Context& ctx, int l) {
    const PlainPlan::Site& planned = plan_.site(l);
    if (planned.writes.empty()) return output_gradient(ctx, l);
    const Pass& pass = open(ctx, l);
    const std::vector<double>& p = pass.p;
    const Index n_u = std::ssize(planned.read_dots), n_w = std::ssize(planned.write_dots);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(pass, chunk);
        std::fill_n(b.dnumbers, most_numbers_, 0.0);
        std::fill_n(b.dvectors, most_vectors_ * channels(), Real(0));
        for (Index n = begin; n < end; ++n) {
            Tape tape;
            Scratch& vars = scratch();
            on_tape(tape, vars.u, here(pass, l).u.row(n), n_u);
            on_tape(tape, vars.w, here(pass, l).w.row(n), n_w);
            on_tape(tape, vars.p, p.data(), planned.n_numbers);
            zeros(vars.out, planned.n_a);
            rule_->write(l, vars.u.data(), vars.w.data(), vars.p.data(), vars.out.data());
            for (Index i = 0; i < planned.n_a; ++i)
                b.weights[i] = vars.out[static_cast<std::size_t>(i)].v;
            for (const PlainPlan::Mix& mix : planned.writes) {
                apply_backward(pass, mix, b.weights, n, gradient(pass, mix.to, n), b.dweights);
                for (const PlainPlan::Term& term : mix.terms)
                    tape.seed(vars.out[static_cast<std::size_t>(term.at)], b.dweights[term.at]);
            }
            tape.pull();
            for (Index i = 0; i < n_u; ++i)
                pass.du.row(n)[i] = tape.gradient(vars.u[static_cast<std::size_t>(i)]);
            for (Index i = 0; i < n_w; ++i)
                b.dw[i] = tape.gradient(vars.w[static_cast<std::size_t>(i)]);
            for (Index i = 0; i < planned.n_numbers; ++i)
                b.dnumbers[i] += tape.gradient(vars.p[static_cast<std::size_t>(i)]);
            dots_backward(pass, l, site(l).writes, n, b.dw, b);
        }
    });
    this->template moved<Real>(ctx, 3 * std::ssize(planned.writes) * channels());
    return output_gradient(ctx, l);
}

template <class T>
View<const T> Plain<T>::output_gradient(const Context& ctx, int l) const {
    const View<Real> d = ctx(gradients_[static_cast<std::size_t>(l)]);
    if constexpr (!kRounds)
        return d;
    else {
        const View<T> dv = ctx(dv_);
        for_tokens(ctx, this->shape().tokens,
                   [&](Index n) { copy_row(d.row(n), dv.row(n), channels()); });
        return dv;
    }
}

template <class T>
View<const T> Plain<T>::do_begin_backward(const Context& ctx) {
    return output_gradient(ctx, 0);
}

template class Plain<float>;
template class Plain<double>;
template class Plain<Bf16>;

}  // namespace plumb
