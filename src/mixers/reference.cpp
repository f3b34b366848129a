#include "mixers/reference.h"

#include "mixers/derive_matrix.h"
#include "ops/pre_norm_cpu.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

using Numbers = std::vector<double>;

// The channels of group g of `groups`.
struct Channels {
    std::size_t begin, end;
};
Channels channels_of(int g, int groups, std::size_t channels) {
    if (g < 0) return {0, channels};
    const std::size_t width = channels / static_cast<std::size_t>(groups);
    return {static_cast<std::size_t>(g) * width, static_cast<std::size_t>(g + 1) * width};
}

// out (outs, C) += weights (G, outs, ins) in (ins, C)
void mix(int groups, std::size_t outs, std::size_t ins, std::size_t channels, const double* weights,
         const double* in, double* out) {
    for (int g = 0; g < groups; ++g) {
        const Channels range = channels_of(g, groups, channels);
        for (std::size_t o = 0; o < outs; ++o)
            for (std::size_t i = 0; i < ins; ++i, ++weights)
                for (std::size_t k = range.begin; k < range.end; ++k)
                    out[o * channels + k] += *weights * in[i * channels + k];
    }
}

// Its transpose: din += weights^T dout, dweights = <dout, in>.
void mix_backward(int groups, std::size_t outs, std::size_t ins, std::size_t channels,
                  const double* weights, const double* in, const double* dout, double* din,
                  double* dweights) {
    for (int g = 0; g < groups; ++g) {
        const Channels range = channels_of(g, groups, channels);
        for (std::size_t o = 0; o < outs; ++o)
            for (std::size_t i = 0; i < ins; ++i, ++weights, ++dweights) {
                *dweights = 0;
                for (std::size_t k = range.begin; k < range.end; ++k) {
                    *dweights += dout[o * channels + k] * in[i * channels + k];
                    din[i * channels + k] += *weights * dout[o * channels + k];
                }
            }
    }
}

// b += a; returns what comes behind a's numbers.
const double* add(const double* a, Numbers& b) {
    for (double& x : b) x += *a++;
    return a;
}

}  // namespace

Reference::Reference(RulePtr rule) : DepthMixer<double>(rule->shape()), rule_(std::move(rule)) {
    for (int l = 1; l <= sublayers() + 1; ++l) {
        sites_.push_back({SiteParams<double>(*rule_, l), rule_->read_dots(l), {}});
        if (l <= sublayers()) sites_.back().write = rule_->write_dots(l);
    }
}

void Reference::do_declare(Plan& plan, ParamStore<double>& params) {
    for (int l = 1; l <= sublayers() + 1; ++l)
        sites_[static_cast<std::size_t>(l - 1)].params.declare(params, l, shape().layout);
    for (int l = 0; l <= sublayers(); ++l)
        v_.push_back(plan.saved<double>(fmt::format("mixer.v.{}", l), token_shape()));
    dv_ = plan.scratch<double>("mixer.dv", token_shape());
    tokens_ = plan.state(Tokens(static_cast<std::size_t>((sublayers() + 1) * shape().tokens)));
}

Reference::Gathered Reference::gather(const Context& ctx, int l, bool gradients) const {
    Gathered all;
    const SiteParams<double>& params = site(l).params;
    const Index c = shape().channels;
    params.for_numbers(ctx,
                       [&](double x, double dx) { all.numbers.push_back(gradients ? dx : x); });
    for (Index i = 0; i < params.count(RuleParam::Is::vectors); i += c)
        all.vectors.push_back(params.at(ctx, RuleParam::Is::vectors, i, gradients));
    for (Index i = 0; i < params.count(RuleParam::Is::matrix); i += c * c)
        all.matrices.push_back(params.at(ctx, RuleParam::Is::matrix, i, gradients));
    return all;
}

void Reference::add_numbers(const Context& ctx, int l, const Numbers& gradient) const {
    auto next = gradient.begin();
    site(l).params.for_numbers(ctx, [&](double, double& to) { to += *next++; });
}

// ---- dot products -------------------------------------------------------------------------------

Numbers Reference::operand(const Operand& x, const Numbers& rows, const Gathered& p) const {
    const std::size_t c = width();
    Numbers out(c, 1.0);
    const double* row = rows.data() + static_cast<std::size_t>(x.index) * c;
    if (x.is == Operand::Is::row) out.assign(row, row + c);
    if (x.is == Operand::Is::vector) {
        const double* vector = p.vectors[static_cast<std::size_t>(x.index)];
        out.assign(vector, vector + c);
    }
    if (x.is == Operand::Is::image) {
        const double* w = p.matrices[static_cast<std::size_t>(x.matrix)];
        double square = 0;
        for (std::size_t k = 0; k < c; ++k) square += row[k] * row[k];
        const double scale = 1 / std::sqrt(square / static_cast<double>(c) + shape().norm_eps);
        for (std::size_t o = 0; o < c; ++o) {
            out[o] = 0;
            for (std::size_t k = 0; k < c; ++k) out[o] += w[o * c + k] * row[k] * scale;
        }
    }
    if (x.gain >= 0)
        for (std::size_t k = 0; k < c; ++k)
            out[k] *= p.vectors[static_cast<std::size_t>(x.gain)][k];
    return out;
}

// d is the operand's gradient: into rows and parameters.
void Reference::operand_backward(const Operand& x, const Numbers& d, const Numbers& rows,
                                 const Gathered& p, Gathered& dp, Numbers& drows) const {
    const std::size_t c = width();
    Numbers dbase = d;
    if (x.gain >= 0) {
        Operand base = x;
        base.gain = -1;
        const Numbers plain = operand(base, rows, p);
        for (std::size_t k = 0; k < c; ++k) {
            dp.vectors[static_cast<std::size_t>(x.gain)][k] += d[k] * plain[k];
            dbase[k] *= p.vectors[static_cast<std::size_t>(x.gain)][k];
        }
    }
    const std::size_t first = static_cast<std::size_t>(x.index) * c;
    if (x.is == Operand::Is::row)
        for (std::size_t k = 0; k < c; ++k) drows[first + k] += dbase[k];
    if (x.is == Operand::Is::vector)
        for (std::size_t k = 0; k < c; ++k)
            dp.vectors[static_cast<std::size_t>(x.index)][k] += dbase[k];
    if (x.is != Operand::Is::image) return;
    const double* w = p.matrices[static_cast<std::size_t>(x.matrix)];
    double *dw = dp.matrices[static_cast<std::size_t>(x.matrix)], square = 0, along = 0;
    const double* row = rows.data() + first;
    for (std::size_t k = 0; k < c; ++k) square += row[k] * row[k];
    const double scale = 1 / std::sqrt(square / static_cast<double>(c) + shape().norm_eps);
    Numbers dn(c, 0.0);  // of the normed row
    for (std::size_t o = 0; o < c; ++o)
        for (std::size_t k = 0; k < c; ++k) {
            dw[o * c + k] += dbase[o] * row[k] * scale;
            dn[k] += dbase[o] * w[o * c + k];
        }
    for (std::size_t k = 0; k < c; ++k) along += dn[k] * row[k] * scale;
    for (std::size_t k = 0; k < c; ++k)
        drows[first + k] += scale * (dn[k] - row[k] * scale * along / static_cast<double>(c));
}

Numbers Reference::dots(const Dots& dots, const Numbers& rows, const Gathered& p) const {
    Numbers out;
    for (const Dot& dot : dots) {
        const Channels range = channels_of(dot.group, rule_->groups(), width());
        double sum = 0;
        for (int j = 0; j < dot.n; ++j) {
            const Numbers a = operand(dot.left(j), rows, p), b = operand(dot.right(j), rows, p);
            for (std::size_t k = range.begin; k < range.end; ++k) sum += a[k] * b[k];
        }
        out.push_back(sum);
    }
    return out;
}

void Reference::dots_backward(const Dots& dots, const Numbers& d, const Numbers& rows,
                              const Gathered& p, Gathered& dp, Numbers& drows) const {
    for (std::size_t i = 0; i < dots.size(); ++i) {
        const Channels range = channels_of(dots[i].group, rule_->groups(), width());
        for (int j = 0; j < dots[i].n; ++j) {
            const Operand left = dots[i].left(j), right = dots[i].right(j);
            Numbers a = operand(left, rows, p), b = operand(right, rows, p);
            for (std::size_t k = 0; k < width(); ++k) {
                const bool inside = k >= range.begin && k < range.end;
                a[k] *= inside ? d[i] : 0;
                b[k] *= inside ? d[i] : 0;
            }
            operand_backward(left, b, rows, p, dp, drows);
            operand_backward(right, a, rows, p, dp, drows);
        }
    }
}

// ---- forward ------------------------------------------------------------------------------------

View<double> Reference::do_slot(const Context& ctx, int l) const {
    return ctx(v_[static_cast<std::size_t>(l)]);
}

void Reference::do_begin(const Context& ctx) {
    const std::size_t c = width();
    for (Index n = 0; n < shape().tokens; ++n) {
        const double* v = ctx(v_.front()).row(n);
        token(ctx, 1, n).in.clear();
        for (int r = 0; r < rule_->rows(1); ++r)
            token(ctx, 1, n).in.insert(token(ctx, 1, n).in.end(), v, v + c);
    }
}

void Reference::do_read_ways(const Context& ctx, int l, PreNorms norms) {
    const std::size_t c = width(), rows = static_cast<std::size_t>(rule_->rows(l));
    const Gathered p = gather(ctx, l, false);
    for (Index n = 0; n < shape().tokens; ++n) {
        Token& t = token(ctx, l, n);
        t.u = dots(site(l).read, t.in, p);
        const std::size_t of_way = static_cast<std::size_t>(rule_->groups()) * rows;
        t.c.assign(norms.size() * of_way, 0.0);
        rule_->read(l, t.u.data(), p.numbers.data(), t.c.data());
        for (std::size_t way = 0; way < norms.size(); ++way) {
            Numbers h(c, 0.0);
            mix(rule_->groups(), 1, rows, c, t.c.data() + way * of_way, t.in.data(), h.data());
            norm_put(norms[way], n, h.data());
        }
    }
}

void Reference::do_write(const Context& ctx, int l) {
    const std::size_t c = width(), rows = static_cast<std::size_t>(rule_->rows(l)),
                      next = static_cast<std::size_t>(rule_->rows(l + 1));
    const Gathered p = gather(ctx, l, false);
    for (Index n = 0; n < shape().tokens; ++n) {
        Token& t = token(ctx, l, n);
        const double* v = ctx(v_[static_cast<std::size_t>(l)]).row(n);
        t.in.resize(rows * c);
        t.in.insert(t.in.end(), v, v + c);
        t.w = dots(site(l).write, t.in, p);
        t.a.assign(static_cast<std::size_t>(rule_->groups()) * next * (rows + 1), 0.0);
        rule_->write(l, t.u.data(), t.w.data(), p.numbers.data(), t.a.data());
        token(ctx, l + 1, n).in.assign(next * c, 0.0);
        mix(rule_->groups(), next, rows + 1, c, t.a.data(), t.in.data(),
            token(ctx, l + 1, n).in.data());
    }
}

void Reference::stream(const Context& ctx, int l, View<double> out) const {
    const std::size_t rows = static_cast<std::size_t>(rule_->rows(l + 1)),
                      newest = static_cast<std::size_t>(rule_->stream_rows());
    for (Index n = 0; n < shape().tokens; ++n)
        std::copy_n(token(ctx, l + 1, n).in.data() + (rows - newest) * width(), newest * width(),
                    out.row(n));
}

// ---- backward -----------------------------------------------------------------------------------

template <class Run>
Numbers Reference::pull(std::initializer_list<const Numbers*> inputs, const Numbers& dout,
                        Run&& run) {
    std::vector<DualNumber> x, out(dout.size());
    for (const Numbers* part : inputs) x.insert(x.end(), part->begin(), part->end());
    Numbers dx(x.size());
    const auto loss = [&] {
        std::fill(out.begin(), out.end(), DualNumber(0));
        run(x.data(), out.data());
        DualNumber::Directions sum{};
        for (std::size_t i = 0; i < out.size(); ++i) sum += dout[i] * out[i].d;
        return sum;
    };
    gradient_by_duals(std::ssize(x), x.data(), loss, dx.data());
    return dx;
}

void Reference::do_read_backward_ways(const Context& ctx, int l, PreNorms norms) {
    const std::size_t c = width(), rows = static_cast<std::size_t>(rule_->rows(l));
    const Gathered p = gather(ctx, l, false);
    Gathered dp = gather(ctx, l, true);
    Numbers dnumbers(p.numbers.size(), 0.0);
    for (Index n = 0; n < shape().tokens; ++n) {
        Token& t = token(ctx, l, n);
        if (l > sublayers()) {
            t.dx.assign(rows * c, 0.0);
            t.du.assign(t.u.size(), 0.0);
        }
        Numbers d(c), dc(t.c.size());
        for (std::size_t way = 0; way < norms.size(); ++way) {
            const std::size_t first = way * static_cast<std::size_t>(rule_->groups()) * rows;
            norm_gradient(norms[way], n, d.data());
            mix_backward(rule_->groups(), 1, rows, c, t.c.data() + first, t.in.data(), d.data(),
                         t.dx.data(), dc.data() + first);
        }
        const Numbers d_in = pull({&t.u, &p.numbers}, dc, [&](DualNumber* x, DualNumber* out) {
            rule_->read(l, x, x + t.u.size(), out);
        });
        add(add(d_in.data(), t.du), dnumbers);
        dots_backward(site(l).read, t.du, t.in, p, dp, t.dx);
    }
    add_numbers(ctx, l, dnumbers);
}

View<const double> Reference::do_write_backward(const Context& ctx, int l) {
    const std::size_t c = width(), rows = static_cast<std::size_t>(rule_->rows(l)),
                      next = static_cast<std::size_t>(rule_->rows(l + 1));
    const Gathered p = gather(ctx, l, false);
    Gathered dp = gather(ctx, l, true);
    Numbers dnumbers(p.numbers.size(), 0.0);
    for (Index n = 0; n < shape().tokens; ++n) {
        Token& t = token(ctx, l, n);
        Numbers din((rows + 1) * c, 0.0), da(t.a.size());
        mix_backward(rule_->groups(), next, rows + 1, c, t.a.data(), t.in.data(),
                     token(ctx, l + 1, n).dx.data(), din.data(), da.data());
        const std::size_t n_u = t.u.size(), n_w = t.w.size();
        const Numbers d_in =
            pull({&t.u, &t.w, &p.numbers}, da, [&](DualNumber* x, DualNumber* out) {
                rule_->write(l, x, x + n_u, x + n_u + n_w, out);
            });
        Numbers dw(n_w, 0.0);
        t.du.assign(n_u, 0.0);
        add(add(add(d_in.data(), t.du), dw), dnumbers);
        dots_backward(site(l).write, dw, t.in, p, dp, din);
        std::copy_n(din.data() + rows * c, c, ctx(dv_).row(n));
        din.resize(rows * c);
        t.dx = std::move(din);
    }
    add_numbers(ctx, l, dnumbers);
    return ctx(dv_);
}

View<const double> Reference::do_begin_backward(const Context& ctx) {
    const std::size_t c = width();
    std::fill_n(ctx(dv_).data, ctx(dv_).count(), 0.0);
    for (Index n = 0; n < shape().tokens; ++n)
        for (std::size_t i = 0; i < token(ctx, 1, n).dx.size(); ++i)
            ctx(dv_).row(n)[i % c] += token(ctx, 1, n).dx[i];
    return ctx(dv_);
}

auto Reference::do_matrices(const Context& ctx) const -> OfToken {
    return [this, ctx](Index n, View<double> m, int way) {
        derive_matrix<double>(
            *rule_,
            [&](int l, Numbers& c, Numbers& a) {
                c = token(ctx, l, n).c;
                a = token(ctx, l, n).a;
            },
            m, way);
    };
}

}  // namespace plumb
