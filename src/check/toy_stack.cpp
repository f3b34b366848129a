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
        const View<Real> x = params.value({static_cast<Index>(k)});
        // A query that follows the newest output amplifies every rounding of it: gently.
        const bool makes_queries = spec.name.ends_with(".query_proj");
        const double scale =
            makes_queries ? size / static_cast<double>(spec.shape.extent(1)) : size;
        for (Index i = 0; i < x.count(); ++i)
            x.data[i] += static_cast<Real>(scale * rng.normal(static_cast<std::uint64_t>(i)));
    }
}

template <class Real>
ToyStack<Real>::ToyStack(MixerPtr<Real> mixer, std::uint64_t seed)
    : mixer_(std::move(mixer)),
      sublayers_(mixer_->shape().sublayers),
      n_(mixer_->shape().tokens),
      c_(mixer_->shape().channels) {
    Plan plan;
    mixer_->declare(plan, params_);
    params_.allocate(seed);
    frame_.emplace(std::move(plan), params_);
    const auto nc = static_cast<std::size_t>(n_ * c_);
    weights_.resize(static_cast<std::size_t>(2 * sublayers_ * c_));
    target_.resize(nc);
    dinput_.resize(nc);
    outputs_.assign(static_cast<std::size_t>(sublayers_ + 1), std::vector<Real>(nc));
    norms_ = reads_ = outputs_;
    fill_normal(weights_, seed, "toy/weights");
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
        const Real *a = weights(l, false), *b = weights(l, true);
        for (Index n = 0; n < n_; ++n)
            for (Index c = 0; c < c_; ++c) {
                const Real* h = read(l).row(n);
                output(l).row(n)[c] = std::tanh(a[c] * h[c] + b[c] * h[(c + 1) % c_]);
            }
        std::copy_n(output(l).data, nc, mixer_->slot(ctx, l).data);
        mixer_->write(ctx, l);
    }
    read_from_mixer(ctx, sublayers_ + 1);
    double loss = 0;
    for (std::size_t i = 0; i < nc; ++i) {
        const double h = static_cast<double>(reads_.back()[i]);
        loss += h * (static_cast<double>(target_[i]) + 0.5 * h);
    }
    return loss;
}

template <class Real>
void ToyStack<Real>::backward(const Context& context, Real scale) {
    const FlushToZero flush;
    const Context ctx = home(context);
    const std::size_t nc = outputs_.front().size();
    std::vector<Real> d(nc), dz(nc);
    const auto read_backward = [&](int l) {
        PreNorm<Real> norm = raw(l);
        norm.dx = view(d);
        mixer_->read_backward(ctx, l, norm);
    };
    for (std::size_t i = 0; i < nc; ++i) d[i] = scale * (target_[i] + reads_.back()[i]);
    read_backward(sublayers_ + 1);
    for (int l = sublayers_; l >= 1; --l) {
        const View<const Real> dv = mixer_->write_backward(ctx, l);
        const Real *a = weights(l, false), *b = weights(l, true), *v = output(l).data;
        for (std::size_t i = 0; i < nc; ++i) dz[i] = dv.data[i] * (Real(1) - v[i] * v[i]);
        for (Index n = 0; n < n_; ++n)
            for (Index c = 0; c < c_; ++c) {
                const Real* z = dz.data() + n * c_;
                const Index before = (c + c_ - 1) % c_;
                d[static_cast<std::size_t>(n * c_ + c)] = a[c] * z[c] + b[before] * z[before];
            }
        read_backward(l);
    }
    std::copy_n(mixer_->begin_backward(ctx).data, nc, dinput_.data());
}

template <class Real>
std::vector<Real> depth_matrix(const Context& ctx, const DepthMatrix<Real>& mixer, Index token) {
    const Index rows = mixer.shape().sublayers + 1, g = mixer.matrix_channels();
    std::vector<Real> m(static_cast<std::size_t>(rows * rows * g));
    mixer.depth_matrix(ctx, token, {m.data(), {{'L', rows}, {'S', rows}, {'G', g}}, Device::cpu});
    return m;
}

template <class Real>
std::vector<Real> ToyStack<Real>::matrix(Index token) const {
    return depth_matrix(home(), *mixer_, token);
}

template <class Real>
double matrix_error(ToyStack<Real>& stack) {
    const MixerShape& shape = stack.mixer().shape();
    const Index rows = shape.sublayers + 1, g = stack.mixer().matrix_channels();
    double error = 0;
    for (Index n = 0; n < shape.tokens; ++n) {
        const std::vector<Real> m = stack.matrix(n);
        for (Index r = 0; r < rows; ++r)
            for (Index c = 0; c < shape.channels; ++c) {
                double sum = 0, size = 0;
                for (Index i = 0; i <= r; ++i) {
                    const auto k =
                        static_cast<std::size_t>((r * rows + i) * g + c * g / shape.channels);
                    const double x =
                        static_cast<double>(m[k]) *
                        static_cast<double>(stack.output(static_cast<int>(i)).row(n)[c]);
                    sum += x, size += std::abs(x);
                }
                const double h = static_cast<double>(stack.read(static_cast<int>(r + 1)).row(n)[c]);
                error = worse(error, std::abs(sum - h) / size);
            }
    }
    return error;
}

#define PLUMB_INSTANTIATE(Real)                                                               \
    template void perturb(ParamStore<Real>&, double, std::uint64_t, std::optional<Group>);    \
    template class ToyStack<Real>;                                                            \
    template std::vector<Real> depth_matrix(const Context&, const DepthMatrix<Real>&, Index); \
    template double matrix_error(ToyStack<Real>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
