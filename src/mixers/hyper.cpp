// Hyper-Connections (Zhu et al. 2024, arXiv:2409.19606; paper Eq. 10), static and dynamic.
// Row j of alpha (K, K+1) is [A_m[j] | A_r[j,:]]; pre = A_m, res = A_r, post = beta:
//
//     static   alpha = alpha_s, beta = beta_s
//     dynamic  alpha[j,:] = alpha_s[j,:] + a tanh(LN(X[j]) W_a^T),
//              beta[j] = beta_s[j] + b tanh(LN(X[j]) w_b)
//
// LN is LayerNorm over the C channels of a stream, without gain and bias. Init: A_m one-hot on
// stream (transformer block mod K), A_r = I, beta = 1, W_a = w_b = 0, a = b = 0.01: exactly the
// standard network. Output: the sum of the streams.
//
// With w the K+2 rows of W_a and w_b, LN never exists as a tensor:
//     z[j] = w LN(X[j]) = rstd[j] (w X[j] - mean[j] sum_c w)
#include "mixers/hyper_rule.h"
#include "mixers/stream_mixer.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

template <class T>
class Hyper final : public StreamMixer<T> {
public:
    using Real = RealOf<T>;

    Hyper(const MixerShape& shape, int streams, bool dynamic)
        : StreamMixer<T>(shape, streams), dynamic_(dynamic) {}

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    using typename StreamMixer<T>::Projection;
    using typename StreamMixer<T>::CoefficientGradient;

    Projection projection(int l) const override {
        return {dynamic_ && l <= this->sublayers() ? m() : 0, true};
    }
    const Real* weights(const Context& ctx, int l, int i) const override {
        const Site& s = at_site(l);
        return i <= k() ? ctx.value(s.alpha_proj).row(i) : ctx.value(s.beta_proj).data;
    }
    Real* dweights(const Context& ctx, int l, int i) const override {
        const Site& s = at_site(l);
        return i <= k() ? ctx.grad(s.alpha_proj).row(i) : ctx.grad(s.beta_proj).data;
    }
    void coefficients(const Context& ctx, int l, const Tile& tile) const override;
    void coefficients_backward(const Context& ctx, int l, const Tile& tile,
                               const CoefficientGradient& g) const override;
    // [of the K (K+2) coefficients, stream by stream | a | b | of mean dz rstd (K+2)]
    int n_partials() const override { return k() * m() + 2 + m(); }
    void add_partials(const Context& ctx, int l, const Real* sums) const override;

private:
    struct Site {
        Param<Real> alpha, beta;  // (K, K+1), (K)
        Param<Real> alpha_proj, beta_proj, alpha_scale,
            beta_scale;        // (K+1, C), (C), (1), (1)
        Tensor<Real> moments;  // lanes of mean (K) and rstd (K)
    };
    int k() const { return this->streams(); }
    int m() const { return k() + 2; }
    const Site& at_site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    // Where coefficient i of stream j ([pre | res (K) | post]) is among [pre | post | res].
    int place(int j, int i) const {
        return i == 0 ? j : i <= k() ? (2 + j) * k() + i - 1 : k() + j;
    }
    void weight_sums(const Context& ctx, int l, Real* sums) const;
    void find_moments(const Context& ctx, int l, const Tile& tile) const;

    bool dynamic_;
    std::vector<Site> sites_;  // index l - 1
};

template <class T>
void Hyper<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    StreamMixer<T>::do_declare(plan, params);
    const Index c = this->shape().channels;
    for (int l = 1; l <= this->sublayers(); ++l) {
        Site site;
        const auto param = [&](const char* name, Shape shape, Init init) {
            return params.declare({.name = this->site(l) + name,
                                   .shape = shape,
                                   .init = std::move(init),
                                   .group = Group::mixer});
        };
        std::vector<double> alpha(static_cast<std::size_t>(k() * (k() + 1)), 0.0);
        for (int j = 0; j < k(); ++j) {
            alpha[static_cast<std::size_t>(j * (k() + 1))] = j == (l - 1) / 2 % k() ? 1.0 : 0.0;
            alpha[static_cast<std::size_t>(j * (k() + 1) + 1 + j)] = 1.0;
        }
        site.alpha = param("alpha", {{'K', k()}, {'M', k() + 1}}, Init::values(std::move(alpha)));
        site.beta = param("beta", {{'K', k()}}, Init::constant(1.0));
        if (dynamic_) {
            site.alpha_proj = param("alpha_proj", {{'M', k() + 1}, {'C', c}}, Init::constant(0.0));
            site.beta_proj = param("beta_proj", {{'C', c}}, Init::constant(0.0));
            site.alpha_scale = param("alpha_scale", {{'G', 1}}, Init::constant(0.01));
            site.beta_scale = param("beta_scale", {{'G', 1}}, Init::constant(0.01));
            site.moments =
                plan.saved<Real>(fmt::format("mixer.moments.{}", l), this->lanes(2 * k()));
        }
        sites_.push_back(site);
    }
}

template <class T>
void Hyper<T>::weight_sums(const Context& ctx, int l, Real* sums) const {
    for (int i = 0; i < m(); ++i)
        sums[i] = total<0, Real>(weights(ctx, l, i), this->shape().channels);
}

template <class T>
void Hyper<T>::find_moments(const Context& ctx, int l, const Tile& tile) const {
    const Index c = this->shape().channels;
    const T* x = this->x(ctx, l) + tile.begin * k() * c;
    Real* all = this->at(ctx(at_site(l).moments), tile.index);
    const auto eps = static_cast<Real>(this->shape().norm_eps);
    for (int j = 0; j < k(); ++j) {
        Lanes<Real> mean(all + j * kTile), rstd(mean.data() + k() * kTile);
        mean.setZero(), rstd.setOnes();
        for (int t = 0; t < tile.n; ++t) {
            const auto [first, second] = moments<0, Real>(x + (t * k() + j) * c, c);
            mean[t] = first;
            rstd[t] = second + eps;
        }
        rstd = rstd.sqrt().inverse();
    }
}

// u holds w X[j]; it becomes z.
template <class T>
void Hyper<T>::coefficients(const Context& ctx, int l, const Tile& tile) const {
    Real* out = this->coef(ctx, l, tile.index);
    if (l > this->sublayers()) {  // the sum of the streams
        std::fill_n(out, k() * kTile, Real(1));
        return;
    }
    const Site& s = at_site(l);
    const View<Real> alpha = ctx.value(s.alpha), beta = ctx.value(s.beta);
    const Real *moments = nullptr, *alpha_scale = nullptr, *beta_scale = nullptr;
    Real *all_u = nullptr, sums[kMaxStreams + 2];
    if (dynamic_) {
        weight_sums(ctx, l, sums);
        find_moments(ctx, l, tile);
        moments = this->at(ctx(s.moments), tile.index);
        alpha_scale = ctx.value(s.alpha_scale).data, beta_scale = ctx.value(s.beta_scale).data;
        all_u = this->u(ctx, l, tile.index);
    }
    for (int j = 0; j < k(); ++j)
        for (int i = 0; i < m(); ++i) {
            Lanes<Real> c(out + place(j, i) * kTile);
            c = i <= k() ? alpha.row(j)[i] : beta.data[j];
            if (!dynamic_) continue;
            const ConstLanes<Real> mean(moments + j * kTile), rstd(mean.data() + k() * kTile);
            Lanes<Real> u(all_u + (j * m() + i) * kTile);
            u = (u - mean * sums[i]) * rstd;
            c += *(i <= k() ? alpha_scale : beta_scale) * u.tanh();
        }
}

// With dz = a dcoef (1 - tanh^2), X[j] = x and r = rstd:
//     dx += r w^T dz - r mean_c(w^T dz) - (x - mean) r^2 <dz, z> / C
//     dw += dz r (x - mean)
template <class T>
void Hyper<T>::coefficients_backward(const Context& ctx, int l, const Tile& tile,
                                     const CoefficientGradient& g) const {
    if (l > this->sublayers()) return;
    const Site& s = at_site(l);
    const Index c = this->shape().channels;
    using Array = Eigen::Array<Real, kTile, 1>;
    Real* sums = this->partial(ctx, tile.chunk);
    const Real *moments = nullptr, *all_z = nullptr, *alpha_scale = nullptr, *beta_scale = nullptr;
    Real w_sums[kMaxStreams + 2];
    if (dynamic_) {
        weight_sums(ctx, l, w_sums);
        moments = this->at(ctx(s.moments), tile.index);
        alpha_scale = ctx.value(s.alpha_scale).data, beta_scale = ctx.value(s.beta_scale).data;
        all_z = this->u(ctx, l, tile.index);
    }
    for (int j = 0; j < k(); ++j) {
        Array along = Array::Zero(), level = Array::Zero();
        for (int i = 0; i < m(); ++i) {
            const ConstLanes<Real> dc(g.dcoef + place(j, i) * kTile);
            Lanes<Real>(sums + (j * m() + i) * kTile) += dc;
            if (!dynamic_) continue;
            const ConstLanes<Real> mean(moments + j * kTile), rstd(mean.data() + k() * kTile),
                z(all_z + (j * m() + i) * kTile);
            const bool alpha = i <= k();
            const Array t = z.tanh();
            Lanes<Real>(sums + (k() * m() + (alpha ? 0 : 1)) * kTile) += dc * t;
            const Array dz = *(alpha ? alpha_scale : beta_scale) * dc * (Real(1) - t.square());
            along += dz * z;
            level += dz * w_sums[i];
            Lanes<Real> du(g.du + (j * m() + i) * kTile);
            du = dz * rstd;
            Lanes<Real>(sums + (k() * m() + 2 + i) * kTile) += du * mean;
        }
        if (!dynamic_) continue;
        const ConstLanes<Real> mean(moments + j * kTile), rstd(mean.data() + k() * kTile);
        Lanes<Real> a(g.a + j * kTile);
        a = -along * rstd.square() / static_cast<Real>(c);
        Lanes<Real>(g.b + j * kTile) = -level * rstd / static_cast<Real>(c) - a * mean;
    }
}

template <class T>
void Hyper<T>::add_partials(const Context& ctx, int l, const Real* sums) const {
    if (l > this->sublayers()) return;
    const Site& s = at_site(l);
    const View<Real> dalpha = ctx.grad(s.alpha), dbeta = ctx.grad(s.beta);
    for (int j = 0; j < k(); ++j) {
        for (int i = 0; i <= k(); ++i) dalpha.row(j)[i] += sums[j * m() + i];
        dbeta.data[j] += sums[j * m() + k() + 1];
    }
    if (!dynamic_) return;
    sums += k() * m();
    ctx.grad(s.alpha_scale).data[0] += sums[0];
    ctx.grad(s.beta_scale).data[0] += sums[1];
    for (int i = 0; i < m(); ++i) {
        Real* dw = dweights(ctx, l, i);
        for (Index c = 0; c < this->shape().channels; ++c) dw[c] -= sums[2 + i];
    }
}

}  // namespace

std::vector<MixerOption> hyper_options() {
    return {streams_option(),
            {"dynamic", true,
             "true: the mixing weights depend on the token; false: they are learned constants"}};
}

RulePtr hyper_rule(const MixerConfig& config, const MixerShape& shape) {
    check_streams(config.integer("streams"));
    return std::make_unique<HyperRule>(shape, static_cast<int>(config.integer("streams")),
                                       config.flag("dynamic"));
}

template <class T>
MixerPtr<T> make_hyper(const MixerConfig& config, const MixerShape& shape) {
    return std::make_unique<Hyper<T>>(shape, static_cast<int>(config.integer("streams")),
                                      config.flag("dynamic"));
}
template MixerPtr<float> make_hyper(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_hyper(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_hyper(const MixerConfig&, const MixerShape&);

}  // namespace plumb
