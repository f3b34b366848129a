#include "check/toy_stack.h"

#include "check/compare.h"
#include "config/config.h"
#include "core/flush_to_zero.h"
#include "core/rng.h"

namespace plumb {
namespace {

template <class Real>
void fill_normal(std::vector<Real>& x, std::uint64_t seed, const char* name) {
    const CounterRng rng(seed, name);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<Real>(rng.normal(i));
}

}  // namespace

MixerConfig mixer_config(const std::string& name, const std::vector<std::string>& settings) {
    // In a model that allows them: a stack has its own shape.
    std::vector<std::string> overrides{"mixer=" + name, "model.layers=64", "model.width=840"};
    for (const std::string& s : settings) overrides.push_back("mixer." + s);
    return load_config("", overrides).config.mixer;
}

template <class Real>
void perturb(ParamStore<Real>& params, double size, std::uint64_t seed,
             std::optional<Group> group) {
    for (std::size_t k = 0; k < params.specs().size(); ++k) {
        const ParamSpec& spec = params.specs()[k];
        if (group && spec.group != *group) continue;
        const CounterRng rng(seed, "perturb/" + spec.name);
        const View<Real> at = params.value({static_cast<Index>(k)});
        std::vector<Real> x = fetch<Real>(at);
        // Queries and weights that follow the newest output amplify every rounding of it: gently.
        const bool follows = spec.name.ends_with(".query_proj") || spec.name.ends_with(".out_proj");
        const double scale = follows ? size / static_cast<double>(spec.shape.extent(1)) : size;
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += static_cast<Real>(scale * rng.normal(i));
        put(at, x.data());
    }
}

template <class Real>
ToyStack<Real>::ToyStack(MixerPtr<Real> mixer, std::uint64_t seed)
    : mixer_(std::move(mixer)),
      sublayers_(mixer_->shape().sublayers()),
      n_(mixer_->shape().tokens),
      c_(mixer_->shape().channels) {
    Plan plan;
    mixer_->declare(plan, params_);
    params_.allocate(seed);
    frame_.emplace(std::move(plan), params_);
    const auto nc = static_cast<std::size_t>(n_ * c_);
    target_.resize(nc);
    dinput_.resize(nc);
    outputs_.assign(static_cast<std::size_t>(sublayers_ + 1), std::vector<Real>(nc));
    for (int l = 1; l <= sublayers_ + 1; ++l)
        reads_.emplace_back(static_cast<std::size_t>(mixer_->ways(l)), std::vector<Real>(nc));
    norms_ = reads_;
    for (const char* name : {"toy/weights", "toy/weights.k", "toy/weights.v"}) {
        weights_.emplace_back(static_cast<std::size_t>(2 * sublayers_ * c_));
        fill_normal(weights_.back(), seed, name);
    }
    fill_normal(target_, seed, "toy/target");
    fill_input(seed);
}

template <class Real>
void ToyStack<Real>::fill_input(std::uint64_t seed) {
    fill_normal(outputs_.front(), seed, "toy/input");
}

template <class Real>
void ToyStack<Real>::read_from_mixer(const Context& ctx, int l) {
    mixer_->read(ctx, l, raw(l));
    reads_[static_cast<std::size_t>(l - 1)] = norms_[static_cast<std::size_t>(l - 1)];
}

template <class Real>
double ToyStack<Real>::forward(const Context& context) {
    const FlushToZero flush;  // as a model does
    const Context ctx = home(context);
    frame_->poison();
    const std::size_t nc = outputs_.front().size();
    std::copy_n(outputs_.front().data(), nc, mixer_->slot(ctx, 0).data);
    mixer_->begin(ctx);
    for (int l = 1; l <= sublayers_; ++l) {
        read_from_mixer(ctx, l);
        for (Index n = 0; n < n_; ++n)
            for (Index c = 0; c < c_; ++c) {
                Real z = 0;
                for (int way = 0; way < mixer_->ways(l); ++way) {
                    const Real* h = read(l, way).row(n);
                    z += weights(l, false, way)[c] * h[c] +
                         weights(l, true, way)[c] * h[(c + 1) % c_];
                }
                output(l).row(n)[c] = std::tanh(z);
            }
        std::copy_n(output(l).data, nc, mixer_->slot(ctx, l).data);
        mixer_->write(ctx, l);
    }
    read_from_mixer(ctx, sublayers_ + 1);
    double loss = 0;
    for (std::size_t i = 0; i < nc; ++i) {
        const double h = static_cast<double>(reads_.back().front()[i]);
        loss += h * (static_cast<double>(target_[i]) + 0.5 * h);
    }
    return loss;
}

template <class Real>
void ToyStack<Real>::backward(const Context& context, Real scale) {
    const FlushToZero flush;
    const Context ctx = home(context);
    const std::size_t nc = outputs_.front().size();
    std::vector<Real> dz(nc);
    std::vector<std::vector<Real>> d(kMostWays, dz);  // dLoss/dh of each way
    const auto read_backward = [&](int l) {
        std::vector<PreNorm<Real>> norms = raw(l);
        for (std::size_t way = 0; way < norms.size(); ++way) norms[way].dx = view(d[way]);
        mixer_->read_backward(ctx, l, norms);
    };
    for (std::size_t i = 0; i < nc; ++i)
        d.front()[i] = scale * (target_[i] + reads_.back().front()[i]);
    read_backward(sublayers_ + 1);
    for (int l = sublayers_; l >= 1; --l) {
        const View<const Real> dv = mixer_->write_backward(ctx, l);
        const Real* v = output(l).data;
        for (std::size_t i = 0; i < nc; ++i) dz[i] = dv.data[i] * (Real(1) - v[i] * v[i]);
        for (int way = 0; way < mixer_->ways(l); ++way) {
            const Real *a = weights(l, false, way), *b = weights(l, true, way);
            Real* to = d[static_cast<std::size_t>(way)].data();
            for (Index i = 0; i < std::ssize(dz); ++i) {
                const Index c = i % c_, before = (c + c_ - 1) % c_;
                const Real* z = dz.data() + (i - c);
                to[i] = a[c] * z[c] + b[before] * z[before];
            }
        }
        read_backward(l);
    }
    std::copy_n(mixer_->begin_backward(ctx).data, nc, dinput_.data());
}

template <class Real>
std::vector<Real> depth_matrix(const DepthMatrix<Real>& mixer,
                               const typename DepthMatrix<Real>::OfToken& matrices, Index token,
                               int way) {
    const Index rows = mixer.shape().sublayers() + 1, g = mixer.matrix_channels();
    std::vector<Real> m(static_cast<std::size_t>(rows * rows * g));
    matrices(token, {m.data(), {{'L', rows}, {'S', rows}, {'G', g}}, Device::cpu}, way);
    return m;
}

template <class Real>
std::vector<Real> depth_matrix(const Context& ctx, const DepthMatrix<Real>& mixer, Index token,
                               int way) {
    return depth_matrix(mixer, mixer.matrices(ctx), token, way);
}

template <class Real>
std::vector<Real> ToyStack<Real>::matrix(Index token, int way) const {
    return depth_matrix(home(), *mixer_, token, way);
}

template <class Real>
double matrix_error(const std::vector<Real>& m, const DepthMatrix<Real>& mixer,
                    const RowOf<Real>& v, const RowOf<Real>& h) {
    const Index rows = mixer.shape().sublayers() + 1, g = mixer.matrix_channels(),
                channels = mixer.shape().channels;
    double error = 0;
    for (Index rc = 0; rc < rows * channels; ++rc) {
        const Index r = rc / channels, c = rc % channels;
        double sum = 0, size = 0;
        for (Index i = 0; i <= r; ++i) {
            const auto k = static_cast<std::size_t>((r * rows + i) * g + c * g / channels);
            const double x =
                static_cast<double>(m[k]) * static_cast<double>(v(static_cast<int>(i))[c]);
            sum += x, size += std::abs(x);
        }
        const Real read = h(static_cast<int>(r + 1))[c];
        error = worse(error, std::abs(sum - static_cast<double>(read)) / size);
    }
    return error;
}

template <class Real>
double matrix_error(ToyStack<Real>& stack) {
    const DepthMixer<Real>& mixer = stack.mixer();
    double error = 0;
    for (Index n = 0; n < mixer.shape().tokens; ++n)
        for (int way = 0; way < mixer.most_ways(); ++way)
            error = worse(
                error,
                matrix_error<Real>(
                    stack.matrix(n, way), mixer, [&](int i) { return stack.output(i).row(n); },
                    [&](int l) { return stack.read(l, mixer.ways(l) > 1 ? way : 0).row(n); }));
    return error;
}

#define PLUMB_INSTANTIATE(Real)                                                                    \
    template void perturb(ParamStore<Real>&, double, std::uint64_t, std::optional<Group>);         \
    template class ToyStack<Real>;                                                                 \
    template std::vector<Real> depth_matrix(const DepthMatrix<Real>&,                              \
                                            const DepthMatrix<Real>::OfToken&, Index, int);        \
    template std::vector<Real> depth_matrix(const Context&, const DepthMatrix<Real>&, Index, int); \
    template double matrix_error(const std::vector<Real>&, const DepthMatrix<Real>&,               \
                                 const RowOf<Real>&, const RowOf<Real>&);                          \
    template double matrix_error(ToyStack<Real>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
