#include "mixers/plain.h"

#include "core/parallel.h"
#include "mixers/derive_matrix.h"
#include "mixers/row_kernels.h"
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

// ---- plan ---------------------------------------------------------------------------------------

template <class T>
Plain<T>::Plain(RulePtr rule)
    : DepthMixer<T>(rule->shape()), rule_(std::move(rule)), plan_(*rule_) {
    sites_.resize(static_cast<std::size_t>(sublayers() + 1));
    for (int l = 1; l <= sublayers() + 1; ++l) {
        const PlainPlan::Site& planned = plan_.site(l);
        require(rule_->ways(l) == 1, "the plain memory reads one way");
        plan_products(l, planned.read_dots, site(l).reads);
        plan_products(l, planned.write_dots, site(l).writes);
        most_weights_ = std::max<Index>({most_weights_, planned.n_c, planned.n_a});
        most_numbers_ = std::max<Index>(most_numbers_, planned.n_numbers);
        most_dots_ = std::max<Index>(
            {most_dots_, std::ssize(planned.read_dots), std::ssize(planned.write_dots)});
        most_vectors_ = std::max<Index>(most_vectors_, std::ssize(site(l).vectors));
    }
}

template <class T>
void Plain<T>::plan_products(int l, const Dots& dots, std::vector<Product>& products) {
    const Index width = channels() / rule_->groups();
    for (const Dot& dot : dots) {
        // A gain on one side is one on the other: rows stay as they lie.
        const bool turned = dot.a.is == Operand::Is::row;
        const Operand &row = turned ? dot.a : dot.b, &other = turned ? dot.b : dot.a;
        Product product{side_of(l, row, -1), side_of(l, other, row.gain), 0, channels()};
        if (dot.group >= 0) product.first = dot.group * width, product.width = width;
        products.push_back(product);
    }
}

template <class T>
auto Plain<T>::side_of(int l, Operand x, int gain) -> Side {
    Site& s = site(l);
    if (x.gain < 0 || x.is == Operand::Is::row) x.gain = gain;
    if (x.is == Operand::Is::row) {
        require(gain < 0, "a dot product of two rows has no gain");
        return {Side::Is::cell, plan_.site(l).rows[static_cast<std::size_t>(x.index)]};
    }
    if (x.is == Operand::Is::image) {
        s.images.push_back(
            {plan_.site(l).rows[static_cast<std::size_t>(x.index)], x.matrix, x.gain, {}});
        const Image& last = s.images.back();
        for (std::size_t i = 0; i + 1 < s.images.size(); ++i)
            if (s.images[i].cell == last.cell && s.images[i].matrix == last.matrix &&
                s.images[i].gain == last.gain) {
                s.images.pop_back();
                return {Side::Is::image, static_cast<int>(i)};
            }
        return {Side::Is::image, static_cast<int>(s.images.size()) - 1};
    }
    const Vector wanted{x.is == Operand::Is::ones ? -1 : x.index, x.gain};
    for (std::size_t i = 0; i < s.vectors.size(); ++i)
        if (s.vectors[i].vector == wanted.vector && s.vectors[i].gain == wanted.gain)
            return {Side::Is::vector, static_cast<int>(i)};
    s.vectors.push_back(wanted);
    return {Side::Is::vector, static_cast<int>(s.vectors.size()) - 1};
}

template <class T>
void Plain<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = this->shape().tokens;
    for (int l = 1; l <= sublayers() + 1; ++l) {
        Site& s = site(l);
        for (const RuleParam& p : plan_.site(l).params)
            s.params.push_back(params.declare(param_spec(p, l, sublayers())));
        const auto saved = [&](const char* name, Index dots) {
            return plan.saved<double>(fmt::format("mixer.{}.{}", name, l),
                                      {{'N', n}, {'U', std::max<Index>(dots, 1)}});
        };
        s.u = saved("u", std::ssize(s.reads));
        s.w = saved("w", std::ssize(s.writes));
        for (std::size_t i = 0; i < s.images.size(); ++i)
            s.images[i].value =
                plan.saved<Real>(fmt::format("mixer.image.{}.{}", l, i), this->token_shape());
    }
    for (Cell cell = 0; cell < plan_.n_cells(); ++cell) {
        const std::string name = fmt::format("{}", cell);
        if (plan_.is_output(cell))
            outputs_.push_back(plan.saved<T>("mixer.v." + name, this->token_shape()));
        else
            mixes_.push_back(plan.saved<Real>("mixer.mix." + name, this->token_shape()));
        gradients_.push_back(plan.scratch<Real>("mixer.d." + name, this->token_shape()));
    }
    declare_scratch(plan);
    pass_ = plan.state(blank_pass());
}

template <class T>
void Plain<T>::declare_scratch(Plan& plan) {
    const Index n = this->shape().tokens, c = channels(), chunks = n_chunks(n);
    du_ = plan.scratch<double>("mixer.du", {{'N', n}, {'U', most_dots_}});
    dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    scalars_ = plan.scratch<double>(
        "mixer.scalars",
        {{'P', chunks}, {'S', 2 * most_weights_ + 2 * most_dots_ + most_numbers_}});
    rows_ = plan.scratch<Real>("mixer.rows", {{'P', chunks}, {'R', 1 + most_vectors_}, {'C', c}});
    vectors_ =
        plan.scratch<Real>("mixer.vectors", {{'R', std::max<Index>(most_vectors_, 1)}, {'C', c}});
    bool images = false;
    for (const Site& s : sites_) images = images || !s.images.empty();
    if (!images) return;
    normed_ = plan.scratch<Real>("mixer.normed", this->token_shape());
    dimage_ = plan.scratch<Real>("mixer.dimage", this->token_shape());
    matrix_ = plan.scratch<Real>("mixer.matrix", {{'O', c}, {'C', c}});
}

// With room for all that do_begin finds: a pass allocates nothing.
template <class T>
auto Plain<T>::blank_pass() const -> Pass {
    Pass pass;
    pass.outputs.resize(outputs_.size());
    pass.mixes.resize(mixes_.size());
    pass.gradients.resize(gradients_.size());
    pass.p.resize(static_cast<std::size_t>(most_numbers_));
    for (int l = 1; l <= sublayers() + 1; ++l) {
        Here here;
        for (const RuleParam& p : plan_.site(l).params) {
            const bool is_numbers = p.is == RuleParam::Is::numbers;
            const Index rows = p.is == RuleParam::Is::vectors ? p.shape.count() / channels() : 0;
            here.numbers.resize(here.numbers.size() + is_numbers);
            here.matrix.resize(here.matrix.size() + (p.is == RuleParam::Is::matrix));
            here.vector.resize(here.vector.size() + static_cast<std::size_t>(rows));
        }
        here.dnumbers = here.numbers, here.dmatrix = here.matrix, here.dvector = here.vector;
        here.images.resize(site(l).images.size());
        pass.sites.push_back(std::move(here));
    }
    return pass;
}

template <class T>
void Plain<T>::do_begin(const Context& ctx) {
    Pass& pass = ctx(pass_);
    for (std::size_t i = 0; i < outputs_.size(); ++i) pass.outputs[i] = ctx(outputs_[i]).data;
    for (std::size_t i = 0; i < mixes_.size(); ++i) pass.mixes[i] = ctx(mixes_[i]).data;
    for (std::size_t i = 0; i < gradients_.size(); ++i) pass.gradients[i] = ctx(gradients_[i]).data;
    for (int l = 1; l <= sublayers() + 1; ++l)
        find_site(ctx, l, pass.sites[static_cast<std::size_t>(l - 1)]);
    pass.du = ctx(du_), pass.scalars = ctx(scalars_), pass.dv = ctx(dv_).data;
    pass.rows = ctx(rows_).data, pass.vectors = ctx(vectors_).data;
    pass.normed = ctx(normed_).data, pass.dimage = ctx(dimage_).data;
    pass.matrix = ctx(matrix_).data;
}

template <class T>
void Plain<T>::find_site(const Context& ctx, int l, Here& out) const {
    const Site& s = site(l);
    std::size_t n_numbers = 0, n_matrices = 0, n_vectors = 0;
    for (std::size_t k = 0; k < s.params.size(); ++k) {
        const RuleParam::Is is = plan_.site(l).params[k].is;
        const View<Real> value = ctx.value(s.params[k]), grad = ctx.grad(s.params[k]);
        if (is == RuleParam::Is::numbers) {
            out.numbers[n_numbers] = value, out.dnumbers[n_numbers++] = grad;
        } else if (is == RuleParam::Is::matrix) {
            out.matrix[n_matrices] = value.data, out.dmatrix[n_matrices++] = grad.data;
        } else {
            for (Index i = 0; i < value.count(); i += channels(), ++n_vectors) {
                out.vector[n_vectors] = value.data + i;
                out.dvector[n_vectors] = grad.data + i;
            }
        }
    }
    for (std::size_t i = 0; i < s.images.size(); ++i) out.images[i] = ctx(s.images[i].value).data;
    out.u = ctx(s.u), out.w = ctx(s.w);
}

template <class T>
auto Plain<T>::bench(const Pass& pass, Index chunk) const -> Bench {
    double* x = pass.scalars.row(chunk);
    Real* row = pass.rows + chunk * (1 + most_vectors_) * channels();
    return {.weights = x,
            .dweights = x + most_weights_,
            .du = x + 2 * most_weights_,
            .dw = x + 2 * most_weights_ + most_dots_,
            .dnumbers = x + 2 * most_weights_ + 2 * most_dots_,
            .row = row,
            .dvectors = row + channels()};
}

template <class T>
auto Plain<T>::open(const Context& ctx, int l) const -> Pass& {
    Pass& pass = ctx(pass_);
    const Here& at = here(pass, l);
    auto next = pass.p.begin();
    for (const View<Real>& numbers : at.numbers)
        next = std::copy_n(numbers.data, numbers.count(), next);
    const Site& s = site(l);
    for (std::size_t i = 0; i < s.vectors.size(); ++i) {
        const auto [vector, gain] = s.vectors[i];
        Real* out = pass.vectors + static_cast<Index>(i) * channels();
        for (Index k = 0; k < channels(); ++k)
            out[k] = (vector < 0 ? Real(1) : at.vector[static_cast<std::size_t>(vector)][k]) *
                     (gain < 0 ? Real(1) : at.vector[static_cast<std::size_t>(gain)][k]);
    }
    return pass;
}

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
    for (const Product& p : products) {
        with_side(pass, l, p.a, n, [&](const auto* a) {
            with_side(pass, l, p.b, n, [&](const auto* b) {
                *out = static_cast<double>(row_dot(a + p.first, b + p.first, p.width));
            });
        });
        ++out;
    }
}

template <class T>
void Plain<T>::dots_backward(const Pass& pass, int l, const std::vector<Product>& products, Index n,
                             const double* d, const Bench& bench) const {
    for (const Product& p : products) {
        const auto factor = static_cast<Real>(*d++);
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
void Plain<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
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
            for (const PlainPlan::Mix& mix : planned.reads) apply(pass, mix, b.weights, n, b.row);
            norm.put(n, b.row);
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
void Plain<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const PlainPlan::Site& planned = plan_.site(l);
    const Pass& pass = open(ctx, l);
    const std::vector<double>& p = pass.p;
    const bool last = l > sublayers(), wrote = !last && !planned.writes.empty();
    const Index n_u = std::ssize(site(l).reads);
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
            norm.gradient(n, b.row);
            Tape tape;
            Scratch& vars = scratch();
            on_tape(tape, vars.u, here(pass, l).u.row(n), n_u);
            on_tape(tape, vars.p, p.data(), planned.n_numbers);
            zeros(vars.out, planned.n_c);
            rule_->read(l, vars.u.data(), vars.p.data(), vars.out.data());
            for (Index i = 0; i < planned.n_c; ++i)
                b.weights[i] = vars.out[static_cast<std::size_t>(i)].v;
            for (const PlainPlan::Mix& mix : planned.reads) {
                apply_backward(pass, mix, b.weights, n, b.row, b.dweights);
                for (const PlainPlan::Term& term : mix.terms)
                    tape.seed(vars.out[static_cast<std::size_t>(term.at)], b.dweights[term.at]);
            }
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
    const Index n_u = std::ssize(site(l).reads), n_w = std::ssize(site(l).writes);
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

// The chunks' sums, in order, into the site's gradients.
template <class T>
void Plain<T>::add_parameters(const Pass& pass, int l) const {
    const Here& to = here(pass, l);
    const auto of = [](const std::vector<Real*>& vectors, int i) {
        return vectors[static_cast<std::size_t>(i)];
    };
    const Index chunks = n_chunks(this->shape().tokens);
    for (Index chunk = 0; chunk < chunks; ++chunk) {
        const Real* d = bench(pass, chunk).dvectors;
        for (const auto& [vector, gain] : site(l).vectors) {
            for (Index k = 0; k < channels(); ++k) {
                if (vector >= 0)
                    of(to.dvector, vector)[k] +=
                        d[k] * (gain < 0 ? Real(1) : of(to.vector, gain)[k]);
                if (gain >= 0)
                    of(to.dvector, gain)[k] +=
                        d[k] * (vector < 0 ? Real(1) : of(to.vector, vector)[k]);
            }
            d += channels();
        }
    }
    Index next = 0;
    for (const View<Real>& d : to.dnumbers)
        for (Index i = 0; i < d.count(); ++i, ++next) {
            double sum = 0;
            for (Index chunk = 0; chunk < chunks; ++chunk) sum += bench(pass, chunk).dnumbers[next];
            d.data[i] += static_cast<Real>(sum);
        }
}

template <class T>
void Plain<T>::do_depth_matrix(const Context& ctx, Index n, View<Real> m) const {
    const Pass& pass = ctx(pass_);
    derive_matrix<Real>(
        *rule_,
        [&](int l, std::vector<double>& c, std::vector<double>& a) {
            std::vector<double> p;
            for (const View<Real>& numbers : here(pass, l).numbers)
                p.insert(p.end(), numbers.data, numbers.data + numbers.count());
            const double *u = here(pass, l).u.row(n), *w = here(pass, l).w.row(n);
            c.assign(static_cast<std::size_t>(plan_.site(l).n_c), 0.0);
            a.assign(static_cast<std::size_t>(plan_.site(l).n_a), 0.0);
            rule_->read(l, u, p.data(), c.data());
            if (l <= sublayers()) rule_->write(l, u, w, p.data(), a.data());
        },
        m);
}

template class Plain<float>;
template class Plain<double>;
template class Plain<Bf16>;

}  // namespace plumb
