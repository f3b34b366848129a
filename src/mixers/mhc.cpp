// mHC, manifold-constrained Hyper-Connections (Xie et al. 2025, arXiv:2512.24880), as the released
// kernels compute it. x = flatten(X_l) (K*C), one phi (K*K+2K, K*C) a sublayer, rows
// [pre|post|res]:
//
//     u = (phi x) / sqrt(mean(x^2) + eps),    z = a * u + b  with a = (a_pre, a_post, a_res)
//     pre = sigmoid(z) + 1e-6,   post = 2 sigmoid(z),   res = Sinkhorn(z), sum_s res[s,k] = 1
//
// Final reduction: mean (default) or sum of the streams, or learned: pre of its own phi (K, K*C).
// Init: a = 0.01, phi Xavier-uniform; biases by bias_init (the sources disagree, paper-notes.md):
//     identity (default, ours)  pre 1/K, post 1, res ~ I: standard at init up to rounding and scale
//     zero (Megatron-LM)        pre 1/2, post 1, res 1/K
//     one_hot (mhc-lite)        pre, post biases +1 on stream (transformer block mod K), -1
//                               elsewhere; res ~ I
// Most of its arithmetic is the projection: per token 2 (K*K+2K) K C flops forward, twice that
// backward (K = 4: 192 C and 384 C).
#include "mixers/mhc_rule.h"
#include "mixers/sinkhorn.h"
#include "mixers/stream_mixer.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

constexpr double kPreEps = 1e-6, kOffDiagonal = -8.0;

template <class T>
class Mhc final : public StreamMixer<T> {
public:
    using Real = RealOf<T>;

    Mhc(const MixerShape& shape, const MixerConfig& config)
        : StreamMixer<T>(shape, static_cast<int>(config.integer("streams"))),
          iters_(static_cast<int>(config.integer("sinkhorn_iters"))),
          bias_init_(config.text("bias_init")),
          reduction_(config.text("reduction")) {}

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    using typename StreamMixer<T>::Projection;
    using typename StreamMixer<T>::CoefficientGradient;

    Projection projection(int l) const override {
        return {l <= this->sublayers() ? this->n_coef() : has_site(l) ? k() : 0, false};
    }
    const Real* weights(const Context& ctx, int l, int i) const override {
        return ctx.value(at_site(l).phi).row(i);
    }
    Real* dweights(const Context& ctx, int l, int i) const override {
        return ctx.grad(at_site(l).phi).row(i);
    }
    void coefficients(const Context& ctx, int l, const Tile& tile) const override;
    void coefficients_backward(const Context& ctx, int l, const Tile& tile,
                               const CoefficientGradient& g) const override;
    int n_partials() const override { return this->n_coef() + 3; }
    void add_partials(const Context& ctx, int l, const Real* sums) const override;

private:
    struct Site {
        Index rows;  // of phi: K*K+2K, or K for the learned reduction
        Param<Real> phi, bias, scale;
        Tensor<Real> rstd;  // lanes of 1/sqrt(mean(x^2) + eps)
    };
    int k() const { return this->streams(); }
    Index fan_in() const { return k() * this->shape().channels; }
    bool has_site(int l) const { return l <= this->sublayers() || reduction_ == "learned"; }
    const Site& at_site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    std::vector<double> initial_bias(int l, Index rows) const;
    // Which of the three scales row i of phi belongs to.
    int part(Index i) const { return i < k() ? 0 : i < 2 * k() ? 1 : 2; }

    int iters_;
    std::string bias_init_, reduction_;
    std::vector<Site> sites_;  // index l - 1
};

template <class T>
std::vector<double> Mhc<T>::initial_bias(int l, Index rows) const {
    std::vector<double> b(static_cast<std::size_t>(rows), 0.0);
    if (bias_init_ == "zero") return b;
    const double even = k() > 1 ? -std::log(k() - 1.0) : -kOffDiagonal;  // sigmoid = 1/K
    for (Index i = 0; i < rows; ++i) {
        double& x = b[static_cast<std::size_t>(i)];
        if (part(i) == 2)
            x = (i - 2 * k()) % (k() + 1) == 0 ? 0.0 : kOffDiagonal;
        else if (bias_init_ == "one_hot")
            x = i % k() == (l - 1) / 2 % k() ? 1.0 : -1.0;
        else if (part(i) == 0)
            x = even;
    }
    return b;
}

template <class T>
void Mhc<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    StreamMixer<T>::do_declare(plan, params);
    for (int l = 1; has_site(l) && l <= this->sublayers() + 1; ++l) {
        Site site{};
        site.rows = l <= this->sublayers() ? this->n_coef() : k();
        const auto param = [&](const char* name, Shape shape, Init init) {
            return params.declare({.name = this->site(l) + name,
                                   .shape = shape,
                                   .init = std::move(init),
                                   .group = Group::mixer});
        };
        const double bound = std::sqrt(6.0 / static_cast<double>(fan_in() + site.rows));
        site.phi = param("phi", {{'M', site.rows}, {'X', fan_in()}}, Init::uniform(bound));
        site.bias = param("bias", {{'M', site.rows}}, Init::values(initial_bias(l, site.rows)));
        site.scale = param("scale", {{'G', l <= this->sublayers() ? 3 : 1}}, Init::constant(0.01));
        site.rstd = plan.saved<Real>(fmt::format("mixer.rstd.{}", l), this->lanes(1));
        sites_.push_back(site);
    }
}

// u holds phi x; it becomes u.
template <class T>
void Mhc<T>::coefficients(const Context& ctx, int l, const Tile& tile) const {
    Real* out = this->coef(ctx, l, tile.index);
    if (!has_site(l)) {
        std::fill_n(out, k() * kTile, Real(reduction_ == "mean" ? 1.0 / k() : 1.0));
        return;
    }
    const Site& s = at_site(l);
    const auto eps = static_cast<Real>(this->shape().norm_eps);
    const T* x = this->x(ctx, l) + tile.begin * fan_in();
    Real* all_u = this->u(ctx, l, tile.index);
    const Real *scale = ctx.value(s.scale).data, *bias = ctx.value(s.bias).data;
    Lanes<Real> rstd(this->at(ctx(s.rstd), tile.index));
    rstd.setOnes();
    for (int t = 0; t < tile.n; ++t)
        rstd[t] =
            square_sum<0, Real>(x + t * fan_in(), fan_in()) / static_cast<Real>(fan_in()) + eps;
    rstd = rstd.sqrt().inverse();
    for (int i = 0; i < s.rows; ++i) {
        Lanes<Real> u(all_u + i * kTile), c(out + i * kTile);
        u *= rstd;
        c = scale[part(i)] * u + bias[i];
        if (part(i) == 2) continue;
        c = Real(1) / (Real(1) + (-c).exp());
        c = part(i) == 0 ? (c + Real(kPreEps)).eval() : (c * Real(2)).eval();
    }
    if (s.rows == k()) return;
    Sinkhorn<Real, kTile> sinkhorn;
    sinkhorn.forward(out + 2 * k() * kTile, k(), iters_, out + 2 * k() * kTile);
}

// Through the sigmoids and the Sinkhorn passes (run again, nothing of them is kept) to z and
// u = rstd phi x:  dphi x = rstd du,  dx += rstd phi^T du - x rstd^2 <du, u> / (K C).
template <class T>
void Mhc<T>::coefficients_backward(const Context& ctx, int l, const Tile& tile,
                                   const CoefficientGradient& g) const {
    if (!has_site(l)) return;
    const Site& s = at_site(l);
    const Real *coef = this->coef(ctx, l, tile.index), *all_u = this->u(ctx, l, tile.index);
    const Real *scale = ctx.value(s.scale).data, *bias = ctx.value(s.bias).data;
    for (int i = 0; i < std::min<Index>(s.rows, 2 * k()); ++i) {
        const ConstLanes<Real> c(coef + i * kTile), dc(g.dcoef + i * kTile);
        const Real factor = part(i) == 0 ? Real(1) : Real(2),
                   eps = part(i) == 0 ? Real(kPreEps) : Real(0);
        const auto sigmoid = ((c - eps) / factor).eval();
        Lanes<Real>(g.du + i * kTile) = dc * factor * sigmoid * (Real(1) - sigmoid);
    }
    if (s.rows > k()) {
        Real z[kMaxStreams * kMaxStreams * kTile];
        for (int i = 2 * k(); i < s.rows; ++i)
            Lanes<Real>(z + (i - 2 * k()) * kTile) =
                scale[2] * ConstLanes<Real>(all_u + i * kTile) + bias[i];
        Sinkhorn<Real, kTile> sinkhorn;
        sinkhorn.forward(z, k(), iters_, z);
        sinkhorn.backward(g.dcoef + 2 * k() * kTile, g.du + 2 * k() * kTile);
    }
    const ConstLanes<Real> rstd(this->at(ctx(s.rstd), tile.index));
    Eigen::Array<Real, kTile, 1> along = Eigen::Array<Real, kTile, 1>::Zero();
    Real* sums = this->partial(ctx, tile.chunk);
    for (int i = 0; i < s.rows; ++i) {
        Lanes<Real> d(g.du + i * kTile);
        const ConstLanes<Real> u(all_u + i * kTile);
        Lanes<Real>(sums + i * kTile) += d;
        Lanes<Real>(sums + (this->n_coef() + part(i)) * kTile) += d * u;
        d *= scale[part(i)];
        along += d * u;
        d *= rstd;
    }
    for (int i = 0; i < k(); ++i)
        Lanes<Real>(g.a + i * kTile) = -along * rstd.square() / static_cast<Real>(fan_in());
    std::fill_n(g.b, k() * kTile, Real(0));
}

template <class T>
void Mhc<T>::add_partials(const Context& ctx, int l, const Real* sums) const {
    if (!has_site(l)) return;
    const Site& s = at_site(l);
    const View<Real> dscale = ctx.grad(s.scale);
    axpy(Real(1), sums, ctx.grad(s.bias).data, s.rows);
    axpy(Real(1), sums + this->n_coef(), dscale.data, dscale.count());
}

MixerOption bias_init_option() {
    return {"bias_init", "identity", "where the biases of the three mappings start",
            Choices{"identity", "zero", "one_hot"}};
}
MixerOption reduction_option() {
    return {"reduction", "mean", "how the K streams become the one that the final norm reads",
            Choices{"mean", "sum", "learned"}};
}

void check_iterations(long iterations) {
    if (iterations < 1 || iterations > kMaxSinkhornIters)
        throw UsageError(fmt::format("mixer.sinkhorn_iters={}: must lie in 1..{}", iterations,
                                     kMaxSinkhornIters));
}

}  // namespace

std::vector<MixerOption> mhc_options() {
    return {streams_option(),
            {"sinkhorn_iters", 20L,
             "rounds of row and column normalisation that make the transition doubly stochastic",
             within(1, 1e4)},
            bias_init_option(),
            reduction_option()};
}

RulePtr mhc_rule(const MixerConfig& config, const MixerShape& shape) {
    check_streams(config.integer("streams"));
    check_iterations(config.integer("sinkhorn_iters"));
    return std::make_unique<MhcRule>(
        shape, MhcOptions{static_cast<int>(config.integer("streams")),
                          static_cast<int>(config.integer("sinkhorn_iters")),
                          config.text("bias_init"), config.text("reduction")});
}

std::vector<MixerOption> mhc_lite_options() {
    return {streams_option(), bias_init_option(), reduction_option()};
}

RulePtr mhc_lite_rule(const MixerConfig& config, const MixerShape& shape) {
    constexpr long kMost = 4;  // 24 permutations
    if (config.integer("streams") < 1 || config.integer("streams") > kMost)
        throw UsageError(
            fmt::format("mixer.streams={}: mhc_lite has K! permutations, so K is 1..{}",
                        config.integer("streams"), kMost));
    return std::make_unique<MhcRule>(
        shape, MhcOptions{static_cast<int>(config.integer("streams")), 0, config.text("bias_init"),
                          config.text("reduction")});
}

template <class T>
MixerPtr<T> make_mhc(const MixerConfig& config, const MixerShape& shape) {
    check_iterations(config.integer("sinkhorn_iters"));
    return std::make_unique<Mhc<T>>(shape, config);
}
template MixerPtr<float> make_mhc(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_mhc(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_mhc(const MixerConfig&, const MixerShape&);

}  // namespace plumb
