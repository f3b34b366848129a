// mHC, manifold-constrained Hyper-Connections (Xie et al. 2025, arXiv:2512.24880), as the released
// kernels compute it. x = flatten(X_l) (K*C), one phi (K*K+2K, K*C) a sublayer, rows
// [pre|post|res]:
//
//     u = (phi x) / sqrt(mean(x^2) + eps),    z = a * u + b  with a = (a_pre, a_post, a_res)
//     pre = sigmoid(z) + 1e-6,   post = 2 sigmoid(z),   res = Sinkhorn(z), sum_s res[s,k] = 1
//
// Final reduction: mean (default) or sum of the streams, or learned: pre of its own phi (K, K*C).
// Init: a = 0.01, phi Xavier-uniform; biases by bias_init (the sources disagree, paper-notes.md):
//     identity (default, ours)  pre 1/K, post 1, res ~ I: standard at init up to rounding and a
//     scale zero (Megatron-LM)        pre 1/2, post 1, res 1/K one_hot (mhc-lite)        pre, post
//     biases +1 on stream (transformer block mod K), -1 elsewhere; res ~ I
// The 192 C^2-ish flops of the phi GEMM are all but a few of its arithmetic (K = 4).
#include "core/parallel.h"
#include "mixers/sinkhorn.h"
#include "mixers/stream_mixer.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

constexpr double kPreEps = 1e-6, kOffDiagonal = -8.0;

template <class Real>
Real sigmoid(Real x) {
    return Real(1) / (Real(1) + std::exp(-x));
}

template <class Real>
class Mhc final : public StreamMixer<Real> {
public:
    Mhc(const MixerShape& shape, const MixerConfig& config)
        : StreamMixer<Real>(shape, static_cast<int>(config.streams)),
          iters_(static_cast<int>(config.sinkhorn_iters)),
          bias_init_(config.bias_init),
          reduction_(config.reduction) {}

    void declare(Plan& plan, ParamStore<Real>& params) override;
    void bind(const Arena& arena, ParamStore<Real>& params) override;

protected:
    void coefficients(const Context& ctx, int l) override;
    void coefficients_backward(const Context& ctx, int l) override;

private:
    struct Site {
        Index rows;  // of phi: K*K+2K, or K for the learned reduction
        ParamId phi_id, bias_id, scale_id;
        View<Real> phi, bias, scale, dphi, dbias, dscale;
        TensorId u_id, rstd_id;
        View<Real> u, rstd;  // (N, rows), (N)
    };
    int k() const { return this->streams(); }
    Index fan_in() const { return k() * this->shape().channels; }
    bool has_site(int l) const { return l <= this->sublayers() || reduction_ == "learned"; }
    std::vector<double> initial_bias(int l, Index rows) const;
    // Which of the three scales row i of phi belongs to.
    Index part(Index i) const { return i < k() ? 0 : i < 2 * k() ? 1 : 2; }
    void logits_backward(const Context& ctx, Site& site, int l);
    void project_backward(const Context& ctx, Site& site, int l);

    int iters_;
    std::string bias_init_, reduction_;
    std::vector<Site> sites_;  // index l - 1
    TensorId dz_id_;
    View<Real> dz_;  // (N, K*K+2K)
};

template <class Real>
std::vector<double> Mhc<Real>::initial_bias(int l, Index rows) const {
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

template <class Real>
void Mhc<Real>::declare(Plan& plan, ParamStore<Real>& params) {
    StreamMixer<Real>::declare(plan, params);
    const Index n = this->shape().tokens;
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
        site.phi_id = param("phi", {{'M', site.rows}, {'X', fan_in()}}, Init::uniform(bound));
        site.bias_id = param("bias", {{'M', site.rows}}, Init::values(initial_bias(l, site.rows)));
        site.scale_id =
            param("scale", {{'G', l <= this->sublayers() ? 3 : 1}}, Init::constant(0.01));
        site.u_id = plan.declare<Real>(fmt::format("mixer.u.{}", l), {{'N', n}, {'M', site.rows}},
                                       Lifetime::saved);
        site.rstd_id =
            plan.declare<Real>(fmt::format("mixer.rstd.{}", l), {{'N', n}}, Lifetime::saved);
        sites_.push_back(site);
    }
    dz_id_ = plan.declare<Real>("mixer.dz", {{'N', n}, {'M', this->n_coef()}}, Lifetime::scratch);
}

template <class Real>
void Mhc<Real>::bind(const Arena& arena, ParamStore<Real>& params) {
    StreamMixer<Real>::bind(arena, params);
    for (Site& s : sites_) {
        s.phi = params.value(s.phi_id), s.dphi = params.grad(s.phi_id);
        s.bias = params.value(s.bias_id), s.dbias = params.grad(s.bias_id);
        s.scale = params.value(s.scale_id), s.dscale = params.grad(s.scale_id);
        s.u = arena.view<Real>(s.u_id);
        s.rstd = arena.view<Real>(s.rstd_id);
    }
    dz_ = arena.view<Real>(dz_id_);
}

template <class Real>
void Mhc<Real>::coefficients(const Context& ctx, int l) {
    if (!has_site(l)) {
        const View<Real> c = this->coef(l);
        std::fill(c.data, c.data + c.count(), Real(reduction_ == "mean" ? 1.0 / k() : 1.0));
        return;
    }
    Site& site = sites_[static_cast<std::size_t>(l - 1)];
    const Index m = site.rows, n_tokens = this->shape().tokens;
    const View<Real> x = this->x(l);
    gemm(ctx, Op::none, Op::transpose, n_tokens, m, fan_in(), Real(1), x.data, fan_in(),
         site.phi.data, fan_in(), Real(0), site.u.data, m);
    for_chunks(ctx, n_tokens, [&](Index begin, Index end, Index) {
        Sinkhorn<Real> sinkhorn;
        for (Index n = begin; n < end; ++n) {
            const Real* in = x.data + n * fan_in();
            const Real mean = dot(in, in, fan_in()) / static_cast<Real>(fan_in());
            const Real r = Real(1) / std::sqrt(mean + static_cast<Real>(this->shape().norm_eps));
            site.rstd.data[n] = r;
            Real* out = this->coef(l).row(n);
            for (Index i = 0; i < m; ++i) {
                const Real u = site.u.row(n)[i] *= r;
                const Real z = site.scale.data[part(i)] * u + site.bias.data[i];
                out[i] = part(i) == 0   ? sigmoid(z) + Real(kPreEps)
                         : part(i) == 1 ? Real(2) * sigmoid(z)
                                        : z;
            }
            if (m > k()) sinkhorn.forward(out + 2 * k(), k(), iters_, out + 2 * k());
        }
    });
}

template <class Real>
void Mhc<Real>::coefficients_backward(const Context& ctx, int l) {
    if (!has_site(l)) return;
    Site& site = sites_[static_cast<std::size_t>(l - 1)];
    logits_backward(ctx, site, l);
    project_backward(ctx, site, l);
}

// dcoef -> dz, through the sigmoids and the Sinkhorn passes (run again, nothing of them is kept).
template <class Real>
void Mhc<Real>::logits_backward(const Context& ctx, Site& site, int l) {
    const Index m = site.rows;
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index) {
        Sinkhorn<Real> sinkhorn;
        Real z[kMaxStreams * kMaxStreams], p[kMaxStreams * kMaxStreams];
        for (Index n = begin; n < end; ++n) {
            const Real* c = this->coef(l).row(n);
            const Real* dc = this->dcoef().row(n);
            Real* dz = dz_.row(n);
            for (Index i = 0; i < std::min<Index>(m, 2 * k()); ++i) {
                const Real s = part(i) == 0 ? c[i] - Real(kPreEps) : c[i] / Real(2);
                dz[i] = dc[i] * (part(i) == 0 ? Real(1) : Real(2)) * s * (Real(1) - s);
            }
            if (m == k()) continue;
            for (Index i = 2 * k(); i < m; ++i)
                z[i - 2 * k()] = site.scale.data[2] * site.u.row(n)[i] + site.bias.data[i];
            sinkhorn.forward(z, k(), iters_, p);
            sinkhorn.backward(dc + 2 * k(), dz + 2 * k());
        }
    });
    for (Index n = 0; n < this->shape().tokens; ++n)
        for (Index i = 0; i < m; ++i) {
            site.dbias.data[i] += dz_.row(n)[i];
            site.dscale.data[part(i)] += dz_.row(n)[i] * site.u.row(n)[i];
        }
}

// u = rstd phi x:  dx += rstd phi^T du - x rstd^2 <du, u> / (K C),  dphi += sum_n rstd du x^T.
template <class Real>
void Mhc<Real>::project_backward(const Context& ctx, Site& site, int l) {
    const Index m = site.rows, n_tokens = this->shape().tokens, ld = this->n_coef();
    const View<Real> x = this->x(l);
    for_tokens(ctx, n_tokens, [&](Index n) {
        Real* dz = dz_.row(n);
        const Real r = site.rstd.data[n];
        for (Index i = 0; i < m; ++i) dz[i] *= site.scale.data[part(i)];
        const Real along = dot(dz, site.u.row(n), m) / static_cast<Real>(fan_in());
        axpy(-r * r * along, x.data + n * fan_in(), this->dx().data + n * fan_in(), fan_in());
        for (Index i = 0; i < m; ++i) dz[i] *= r;
    });
    gemm(ctx, Op::none, Op::none, n_tokens, fan_in(), m, Real(1), dz_.data, ld, site.phi.data,
         fan_in(), Real(1), this->dx().data, fan_in());
    gemm(ctx, Op::transpose, Op::none, m, fan_in(), n_tokens, Real(1), dz_.data, ld, x.data,
         fan_in(), Real(1), site.dphi.data, fan_in());
}

}  // namespace

template <class Real>
MixerPtr<Real> make_mhc(const MixerConfig& config, const MixerShape& shape) {
    if (config.sinkhorn_iters < 1 || config.sinkhorn_iters > kMaxSinkhornIters)
        throw UsageError(fmt::format("mixer.sinkhorn_iters={}: must lie in 1..{}",
                                     config.sinkhorn_iters, kMaxSinkhornIters));
    return std::make_unique<Mhc<Real>>(shape, config);
}
template MixerPtr<float> make_mhc(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_mhc(const MixerConfig&, const MixerShape&);

}  // namespace plumb
