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
        site(l).params = SiteParams<Real>(*rule_, l);
        const Index n_u = std::ssize(planned.read_dots);
        plan_half(l, planned.read, planned.read_dots, 0, site(l).read);
        plan_half(l, planned.write, planned.write_dots, n_u, site(l).write);
        for (const Product& p : site(l).write.products)
            require(p.a >= 0 && p.b >= 0, "images are for the dots of reads");
        most_vectors_ = std::max<Index>(most_vectors_, std::ssize(site(l).vectors));
    }
    for (Site& s : sites_)  // images come behind all vectors
        for (Product& p : s.read.products)
            for (int* row : {&p.a, &p.b})
                if (*row < 0) *row = image_row();
}

template <class T>
void Plain<T>::plan_half(int l, const ScalarProgram& program, const Dots& dots, Index first,
                         Half& half) {
    const Index width = channels() / rule_->groups();
    half.program = &program;
    half.begin = first, half.end = first + std::ssize(dots);
    for (std::size_t i = 0; i < dots.size(); ++i)
        for (int j = 0; j < dots[i].n; ++j) {
            // A gain on one side is one on the other: rows stay as they lie.
            const Operand left = dots[i].left(j), right = dots[i].right(j);
            const bool turned = left.is == Operand::Is::row;
            const Operand &row = turned ? left : right, &other = turned ? right : left;
            Product product{row_of(l, row, -1), row_of(l, other, row.gain),
                            static_cast<std::size_t>(first) + i, 0, channels()};
            if (dots[i].group >= 0) product.first = dots[i].group * width, product.width = width;
            half.products.push_back(product);
        }
}

// -1: the site's image.
template <class T>
int Plain<T>::row_of(int l, Operand x, int gain) {
    Site& s = site(l);
    const auto cell = [&] { return plan_.site(l).rows[static_cast<std::size_t>(x.index)]; };
    if (x.gain < 0 || x.is == Operand::Is::row) x.gain = gain;
    if (x.is == Operand::Is::row) {
        require(gain < 0, "a dot product of two rows has no gain");
        return cell();
    }
    if (x.is == Operand::Is::image) {
        const Image wanted{cell(), x.matrix, x.gain};
        require(s.image.cell < 0 || s.image == wanted, "the plain memory makes one image a site");
        s.image = wanted;
        return -1;
    }
    const Vector wanted{x.is == Operand::Is::ones ? -1 : x.index, x.gain};
    const auto found = std::find(s.vectors.begin(), s.vectors.end(), wanted);
    const auto i = static_cast<int>(found - s.vectors.begin());
    if (found == s.vectors.end()) s.vectors.push_back(wanted);
    return plan_.n_cells() + i;
}

template <class T>
void Plain<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    for (int l = 1; l <= sublayers() + 1; ++l) {
        Site& s = site(l);
        s.params.declare(params, l, this->layout());
        const auto lanes = [&](const char* what, Index n) {
            return plan.saved<Lane>(fmt::format("mixer.{}.{}", what, l),
                                    {{'N', n_tiles(tokens())}, {'M', n}});
        };
        s.dots = lanes("dots", s.write.end);
        s.read.weights = lanes("read", s.read.program->n_outputs());
        s.write.weights = lanes("write", s.write.program->n_outputs());
        if (s.image.cell >= 0)
            s.image_values =
                plan.saved<Real>(fmt::format("mixer.image.{}", l), this->token_shape());
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
}

template <class T>
void Plain<T>::declare_scratch(Plan& plan) {
    const Index c = channels(), chunks = n_chunks(tokens());
    Index dots = 0, weights = 0, numbers = 0;
    bool images = false;
    for (int l = 1; l <= sublayers() + 1; ++l) {
        const Site& s = site(l);
        dots = std::max(dots, s.write.end);
        weights =
            std::max<Index>({weights, s.read.program->n_outputs(), s.write.program->n_outputs()});
        numbers = std::max(numbers, s.params.count(RuleParam::Is::numbers));
        images = images || s.image.cell >= 0;
    }
    du_ = plan.cpu_scratch<Lane>("mixer.du", {{'N', n_tiles(tokens())}, {'U', dots}});
    dweights_ = plan.cpu_scratch<Lane>("mixer.dweights", {{'P', chunks}, {'M', weights}});
    dnumbers_ = plan.cpu_scratch<double>("mixer.dnumbers", {{'P', chunks}, {'M', numbers}});
    dvectors_ = plan.cpu_scratch<Real>("mixer.dvectors", {{'P', chunks}, {'C', most_vectors_ * c}});
    row_ = plan.cpu_scratch<Real>("mixer.row", {{'P', chunks}, {'C', c}});
    vectors_ = plan.cpu_scratch<Real>("mixer.vectors", {{'R', most_vectors_}, {'C', c}});
    if constexpr (kRounds) dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    if (images) {
        normed_ = plan.scratch<Real>("mixer.normed", this->token_shape());
        dimage_ = plan.scratch<Real>("mixer.dimage", this->token_shape());
        matrix_ = plan.scratch<Real>("mixer.matrix", {{'O', c}, {'C', c}});
    }
    Pass pass;  // with room for all that do_begin and open find: a pass allocates nothing
    pass.rows.resize(static_cast<std::size_t>(image_row() + 1));
    pass.numbers.resize(static_cast<std::size_t>(numbers));
    pass_ = plan.state(std::move(pass));
}

template <class T>
void Plain<T>::do_begin(const Context& ctx) {
    const Index c = channels();
    auto row = ctx(pass_).rows.begin();
    for (Cell cell = 0; cell < plan_.n_cells(); ++cell) {
        const auto i = static_cast<std::size_t>(cell);
        *row = {.d = ctx(gradients_[i]).data, .step = c};
        if (plan_.is_output(cell))
            row->stored = ctx(outputs_[i]).data;
        else
            row->real = ctx(mixes_[i - outputs_.size()]).data;
        ++row;
    }
    for (Index i = 0; i < most_vectors_; ++i)
        *row++ = {.real = ctx(vectors_).row(i),
                  .d = ctx(dvectors_).data + i * c,
                  .d_step = most_vectors_ * c};
    *row = {.d = ctx(dimage_).data, .step = c};
}

template <class T>
auto Plain<T>::open(const Context& ctx, int l) const -> const Pass& {
    Pass& pass = ctx(pass_);
    site(l).params.numbers(ctx, pass.numbers.begin());
    Real* out = ctx(vectors_).data;
    for (const auto& [vector, gain] : site(l).vectors) {
        std::fill_n(out, channels(), Real(1));
        for (const int i : {vector, gain}) {
            if (i < 0) continue;
            const Real* x = site(l).params.vector(ctx, i, channels());
            for (Index k = 0; k < channels(); ++k) out[k] *= x[k];
        }
        out += channels();
    }
    pass.rows.back().real = ctx(site(l).image_values).data;
    return pass;
}

// The chunks' sums, in order, into the site's gradients.
template <class T>
void Plain<T>::add_parameters(const Context& ctx, int l) const {
    const Index c = channels(), chunks = n_chunks(tokens());
    const View<double> dnumbers = ctx(dnumbers_);
    Index next = 0;
    site(l).params.for_numbers(ctx, [&](Real, Real& to) {
        double sum = 0;
        for (Index chunk = 0; chunk < chunks; ++chunk) sum += dnumbers.row(chunk)[next];
        to += static_cast<Real>(sum);
        ++next;
    });
    for (std::size_t v = 0; v < site(l).vectors.size(); ++v) {
        const auto [vector, gain] = site(l).vectors[v];
        for (const auto& [i, other] : {std::pair(vector, gain), std::pair(gain, vector)}) {
            if (i < 0) continue;
            Real* to = site(l).params.vector(ctx, i, c, true);
            const Real* by = other < 0 ? nullptr : site(l).params.vector(ctx, other, c);
            for (Index chunk = 0; chunk < chunks; ++chunk) {
                const Real* d = ctx(dvectors_).row(chunk) + static_cast<Index>(v) * c;
                for (Index k = 0; k < c; ++k) to[k] += by ? d[k] * by[k] : d[k];
            }
        }
    }
}

template <class T>
auto Plain<T>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    return [this, ctx](Index n, View<Real> m, int way) {
        derive_matrix<Real>(
            *rule_,
            [&](int l, std::vector<double>& c, std::vector<double>& a) {
                const PlainPlan::Site& planned = plan_.site(l);
                std::vector<double> p, u;
                site(l).params.numbers(ctx, std::back_inserter(p));
                const Lane* dots = ctx(site(l).dots).row(n / kTile);
                for (Index i = 0; i < site(l).write.end; ++i) u.push_back(lane(dots[i], n));
                c.assign(static_cast<std::size_t>(planned.n_c), 0.0);
                a.assign(static_cast<std::size_t>(planned.n_a), 0.0);
                rule_->read(l, u.data(), p.data(), c.data());
                if (l <= sublayers())
                    rule_->write(l, u.data(), u.data() + site(l).write.begin, p.data(), a.data());
            },
            m, way);
    };
}

#define PLUMB_INSTANTIATE(T)                                              \
    template Plain<T>::Plain(RulePtr);                                    \
    template void Plain<T>::do_declare(Plan&, ParamStore<RealOf<T>>&);    \
    template void Plain<T>::do_begin(const Context&);                     \
    template auto Plain<T>::open(const Context&, int) const->const Pass&; \
    template void Plain<T>::add_parameters(const Context&, int) const;    \
    template auto Plain<T>::do_matrices(const Context&) const->typename DepthMixer<T>::OfToken;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
