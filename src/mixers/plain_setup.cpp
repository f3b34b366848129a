// What a plain mixer declares, where a frame has it, what is summed up of it; its passes are in
// plain.cpp.
#include "core/gpu.h"
#include "core/parallel.h"
#include "mixers/derive_matrix.h"
#include "mixers/mixers.h"
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
    for (int l = 1; l <= sublayers() + 1; ++l)  // images come behind all vectors
        for (Product& p : site(l).read.products)
            for (int* row : {&p.a, &p.b})
                if (*row < 0) *row = image_row(l);
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
auto Plain<T>::declare_scalars(Plan& plan, const std::string& name, Index n) const -> Scalars {
    Scalars all;
    if (plan.device() == Device::cpu)
        all.tiles = plan.saved<Lane>(name, {{'N', n_tiles(tokens())}, {'M', n}});
    else
        all.numbers = plan.saved<Real>(name, {{'M', n}, {'N', tokens()}});
    return all;
}

template <class T>
void Plain<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    for (int l = 1; l <= sublayers() + 1; ++l) {
        Site& s = site(l);
        s.params.declare(params, l, this->layout());
        const auto scalars = [&](const char* what, Index n) {
            return declare_scalars(plan, fmt::format("mixer.{}.{}", what, l), n);
        };
        s.dots = scalars("dots", s.write.end);
        s.read.weights = scalars("read", s.read.program->n_outputs());
        s.write.weights = scalars("write", s.write.program->n_outputs());
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

// Parts of the sums of vectors' gradients on a GPU: many vectors (a gate a channel) have few.
template <class T>
Index Plain<T>::vector_parts() const {
    constexpr Index kMostNumbers = Index(1) << 24;
    const Index numbers = std::max<Index>(most_vectors_ * channels(), 1);
    return std::clamp<Index>(kMostNumbers / numbers, 1, gpu::partial_rows(tokens()));
}

template <class T>
void Plain<T>::declare_gpu_scratch(Plan& plan, Index dots, Index weights, Index numbers) {
    const Index n = tokens(), warps = (n + 31) / 32;
    Index steps = 0, saved = 0;
    for (const Site& s : sites_)
        for (const ScalarProgram* program : {s.read.program, s.write.program}) {
            steps = std::max<Index>(steps, program->n_steps());
            saved = std::max<Index>(saved, program->n_saved());
        }
    const auto scalars = [&](const char* name, Index count, Index of) {
        return plan.scratch<Real>(fmt::format("mixer.{}", name), {{'M', count}, {'N', of}});
    };
    gpu_.du = scalars("du", dots, n);
    gpu_.dweights = scalars("dweights", weights, n);
    gpu_.numbers = scalars("numbers", numbers, 1);
    gpu_.dnumbers = scalars("dnumbers", numbers, warps);
    gpu_.steps = scalars("steps", steps, 32 * warps);
    gpu_.dsteps = scalars("dsteps", steps, 32 * warps);
    gpu_.saved = scalars("sinkhorn", saved, 32 * warps);
    gpu_.vector_sums = scalars("vector_sums", most_vectors_, channels());
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
    const bool gpu = plan.device() == Device::cuda;
    if (gpu) declare_gpu_scratch(plan, dots, weights, numbers);
    du_ = plan.cpu_scratch<Lane>("mixer.du", {{'N', n_tiles(tokens())}, {'U', dots}});
    dweights_ = plan.cpu_scratch<Lane>("mixer.dweights", {{'P', chunks}, {'M', weights}});
    dnumbers_ = plan.cpu_scratch<double>("mixer.dnumbers", {{'P', chunks}, {'M', numbers}});
    dvectors_ = plan.scratch<Real>(
        "mixer.dvectors", {{'P', gpu ? vector_parts() : chunks}, {'C', most_vectors_ * c}});
    row_ = plan.scratch<Real>("mixer.row",
                              {{'P', gpu ? gpu::partial_rows(tokens()) : chunks}, {'C', c}});
    vectors_ = plan.scratch<Real>("mixer.vectors", {{'R', most_vectors_}, {'C', c}});
    if constexpr (kRounds) dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    if (images) {
        normed_ = plan.scratch<Real>("mixer.normed", this->token_shape());
        dimage_ = plan.scratch<Real>("mixer.dimage", this->token_shape());
        matrix_ = plan.scratch<Real>("mixer.matrix", {{'O', c}, {'C', c}});
    }
    Pass pass;  // with room for all that do_begin and open find: a pass allocates nothing
    pass.rows.resize(static_cast<std::size_t>(image_row(sublayers() + 2)));
    pass.numbers.resize(static_cast<std::size_t>(numbers));
    pass_ = plan.state(std::move(pass));
}

template <class T>
void Plain<T>::do_begin(const Context& ctx) {
    const Index c = channels();
    Pass& pass = ctx(pass_);
    auto row = pass.rows.begin();
    for (Cell cell = 0; cell < plan_.n_cells(); ++cell) {
        const auto i = static_cast<std::size_t>(cell);
        row->d = ctx(gradients_[i]).data, row->step = c;
        if (plan_.is_output(cell))
            row->stored = ctx(outputs_[i]).data;
        else
            row->real = ctx(mixes_[i - outputs_.size()]).data;
        ++row;
    }
    for (Index i = 0; i < most_vectors_; ++i, ++row) {
        row->real = ctx(vectors_).row(i);
        row->d = ctx(dvectors_).data + i * c;
        row->d_step = most_vectors_ * c;
    }
    for (const Site& s : sites_) {
        row->real = ctx(s.image_values).data;
        row->d = ctx(dimage_).data;
        row++->step = c;
    }
    if (ctx.device == Device::cpu || pass.device_rows) return;
    pass.device_rows = std::make_shared<DeviceArray<Row>>(std::ssize(pass.rows), ctx.device);
    put(pass.device_rows->view(), pass.rows.data());
    if (!copies_.made()) copies_.make(ctx.device, [&] { make_tables(); });
}

template <class T>
void Plain<T>::make_tables() {
    tables_.clear();
    for (int l = 1; l <= sublayers() + 1; ++l) {
        const Site& s = site(l);
        const Index c = channels();
        std::vector<PlainVectorPlace> vectors;
        const auto place = [&](Index i) {
            return i < 0 ? i : s.params.place(RuleParam::Is::vectors, i * c);
        };
        for (const Vector& v : s.vectors) vectors.push_back({place(v.vector), place(v.gain)});
        const std::vector<Index> numbers = s.params.number_places();
        tables_.push_back({half_tables(s.read, plan_.site(l).reads),
                           half_tables(s.write, plan_.site(l).writes), copies_(numbers),
                           copies_(vectors), static_cast<int>(numbers.size()),
                           static_cast<int>(vectors.size())});
    }
}

template <class T>
PlainHalfTables Plain<T>::half_tables(const Half& half, const std::vector<Mix>& mixes) {
    const auto count = [](const auto& x) { return static_cast<int>(x.size()); };
    std::vector<int> dots, terms_begin{0}, written;
    for (int k = 0; k < count(half.products); ++k)
        if (const auto to = half.products[static_cast<std::size_t>(k)].to;
            k == 0 || to != half.products[static_cast<std::size_t>(k - 1)].to)
            dots.push_back(k);
    require(count(dots) == half.end - half.begin, "the products of a dot lie side by side");
    dots.push_back(count(half.products));
    std::vector<PlainTerm> terms;
    for (const Mix& mix : mixes) {
        for (const PlainPlan::Term& t : mix.terms) terms.push_back({t.cell, t.at, mix.group});
        terms_begin.push_back(count(terms));
        if (mix.to >= 0 && mix.group == 0) written.push_back(mix.to);
    }
    return {half.program->tables(copies_),
            copies_(half.products),
            copies_(dots),
            copies_(terms),
            copies_(terms_begin),
            copies_(written),
            static_cast<int>(half.begin),
            static_cast<int>(half.end - half.begin),
            count(half.products),
            count(mixes),
            count(written)};
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
    struct Kept {  // of a site
        std::vector<double> numbers;
        std::vector<Real> dots;  // (dots, N); of a GPU
    };
    std::vector<Kept> all;
    for (const Site& s : sites_) {
        Kept& kept = all.emplace_back(Kept{s.params.fetched_numbers(ctx), {}});
        if (const View<Real> dots = ctx(s.dots.numbers)) kept.dots = fetch<Real>(dots);
    }
    return [this, ctx, all = std::move(all)](Index n, View<Real> m, int way) {
        derive_matrix<Real>(
            *rule_,
            [&](int l, std::vector<double>& c, std::vector<double>& a) {
                const PlainPlan::Site& planned = plan_.site(l);
                const Kept& kept = all[static_cast<std::size_t>(l - 1)];
                const double* p = kept.numbers.data();
                const View<Lane> tiles = ctx(site(l).dots.tiles);
                std::vector<double> u;
                for (Index i = 0; i < site(l).write.end; ++i)
                    u.push_back(tiles ? lane(tiles.row(n / kTile)[i], n)
                                      : kept.dots[static_cast<std::size_t>(i * tokens() + n)]);
                c.assign(static_cast<std::size_t>(planned.n_c), 0.0);
                a.assign(static_cast<std::size_t>(planned.n_a), 0.0);
                rule_->read(l, u.data(), p, c.data());
                if (l <= sublayers())
                    rule_->write(l, u.data(), u.data() + site(l).write.begin, p, a.data());
            },
            m, way);
    };
}

template <class T>
MixerPtr<T> plain_mixer(RulePtr rule) {
    return std::make_unique<Plain<T>>(std::move(rule));
}

#define PLUMB_INSTANTIATE(T)                                              \
    template Plain<T>::Plain(RulePtr);                                    \
    template void Plain<T>::do_declare(Plan&, ParamStore<RealOf<T>>&);    \
    template void Plain<T>::do_begin(const Context&);                     \
    template auto Plain<T>::open(const Context&, int) const->const Pass&; \
    template MixerPtr<T> plain_mixer(RulePtr);                            \
    template void Plain<T>::add_parameters(const Context&, int) const;    \
    template auto Plain<T>::do_matrices(const Context&) const->typename DepthMixer<T>::OfToken;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
