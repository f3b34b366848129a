// What a plain mixer declares, where a frame has it, what is summed up of it; its passes are in
// plain.cpp.
#include "core/parallel.h"
#include "mixers/derive_matrix.h"
#include "mixers/plain.h"

namespace plumb {

template <class T>
Plain<T>::Plain(RulePtr rule)
    : DepthMixer<T>(rule->shape()), rule_(std::move(rule)), plan_(*rule_) {
    sites_.resize(static_cast<std::size_t>(sublayers() + 1));
    for (int l = 1; l <= sublayers() + 1; ++l) {
        const PlainPlan::Site& planned = plan_.site(l);
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
    for (std::size_t i = 0; i < dots.size(); ++i)
        for (int j = 0; j < dots[i].n; ++j) {
            // A gain on one side is one on the other: rows stay as they lie.
            const Operand left = dots[i].left(j), right = dots[i].right(j);
            const bool turned = left.is == Operand::Is::row;
            const Operand &row = turned ? left : right, &other = turned ? right : left;
            Product product{side_of(l, row, -1), side_of(l, other, row.gain), i, 0, channels()};
            if (dots[i].group >= 0) product.first = dots[i].group * width, product.width = width;
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
        s.u = saved("u", std::ssize(plan_.site(l).read_dots));
        s.w = saved("w", std::ssize(plan_.site(l).write_dots));
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
void Plain<T>::do_way_matrix(const Context& ctx, Index n, int way, View<Real> m) const {
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
        m, way);
}

#define PLUMB_INSTANTIATE(T)                                           \
    template Plain<T>::Plain(RulePtr);                                 \
    template void Plain<T>::do_declare(Plan&, ParamStore<RealOf<T>>&); \
    template void Plain<T>::do_begin(const Context&);                  \
    template auto Plain<T>::bench(const Pass&, Index) const->Bench;    \
    template auto Plain<T>::open(const Context&, int) const->Pass&;    \
    template void Plain<T>::add_parameters(const Pass&, int) const;    \
    template void Plain<T>::do_way_matrix(const Context&, Index, int, View<RealOf<T>>) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
