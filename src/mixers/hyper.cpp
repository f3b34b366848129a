// Hyper-Connections (Zhu et al. 2024, arXiv:2409.19606; paper Eq. 10), static and dynamic.
// Row j of alpha (K, K+1) is [A_m[j] | A_r[j,:]]; pre = A_m, res = A_r, post = beta:
//
//     static   alpha = alpha_s, beta = beta_s
//     dynamic  alpha[j,:] = alpha_s[j,:] + a tanh(LN(X[j]) W_a^T),  beta[j] = beta_s[j] + b
//     tanh(LN(X[j]) w_b)
//
// LN is LayerNorm over the C channels of a stream, without gain and bias. Init: A_m one-hot on
// stream (transformer block mod K), A_r = I, beta = 1, W_a = w_b = 0, a = b = 0.01: exactly the
// standard network. Output: the sum of the streams.
#include "core/parallel.h"
#include "mixers/stream_mixer.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

template <class Real>
class Hyper final : public StreamMixer<Real> {
public:
    Hyper(const MixerShape& shape, int streams, bool dynamic)
        : StreamMixer<Real>(shape, streams), dynamic_(dynamic) {}

    void declare(Plan& plan, ParamStore<Real>& params) override;
    void bind(const Arena& arena, ParamStore<Real>& params) override;

protected:
    void coefficients(const Context& ctx, int l) override;
    void coefficients_backward(const Context& ctx, int l) override;

private:
    struct Param {
        ParamId id;
        View<Real> value, grad;
        void bind(ParamStore<Real>& params) { value = params.value(id), grad = params.grad(id); }
    };
    struct Site {
        Param alpha, beta;                                     // (K, K+1), (K)
        Param alpha_proj, beta_proj, alpha_scale, beta_scale;  // (K+1, C), (C), (1), (1)
        TensorId tanh_id;
        View<Real> tanh;  // (N*K, K+2): of alpha's K+1 columns, then of beta's
    };
    int k() const { return this->streams(); }
    void normalise(const Context& ctx, int l);
    void project_backward(const Context& ctx, Site& site);
    void static_backward(Site& site);

    bool dynamic_;
    std::vector<Site> sites_;  // index l - 1
    TensorId xhat_id_, rstd_id_, dxhat_id_, dz_id_;
    View<Real> xhat_, dxhat_;  // (N*K, C)
    View<Real> rstd_;          // (N*K)
    View<Real> dz_;            // (N*K, K+2)
};

template <class Real>
void Hyper<Real>::declare(Plan& plan, ParamStore<Real>& params) {
    StreamMixer<Real>::declare(plan, params);
    const Index c = this->shape().channels, nk = this->shape().tokens * k();
    for (int l = 1; l <= this->sublayers(); ++l) {
        Site site;
        const auto param = [&](const char* name, Shape shape, Init init) {
            return Param{params.declare({.name = this->site(l) + name,
                                         .shape = shape,
                                         .init = std::move(init),
                                         .group = Group::mixer}),
                         {},
                         {}};
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
            site.tanh_id = plan.declare<Real>(fmt::format("mixer.tanh.{}", l),
                                              {{'R', nk}, {'M', k() + 2}}, Lifetime::saved);
        }
        sites_.push_back(site);
    }
    if (!dynamic_) return;
    xhat_id_ = plan.declare<Real>("mixer.xhat", {{'R', nk}, {'C', c}}, Lifetime::scratch);
    dxhat_id_ = plan.declare<Real>("mixer.dxhat", {{'R', nk}, {'C', c}}, Lifetime::scratch);
    rstd_id_ = plan.declare<Real>("mixer.rstd", {{'R', nk}}, Lifetime::scratch);
    dz_id_ = plan.declare<Real>("mixer.dz", {{'R', nk}, {'M', k() + 2}}, Lifetime::scratch);
}

template <class Real>
void Hyper<Real>::bind(const Arena& arena, ParamStore<Real>& params) {
    StreamMixer<Real>::bind(arena, params);
    for (Site& site : sites_) {
        for (Param* p : {&site.alpha, &site.beta}) p->bind(params);
        if (!dynamic_) continue;
        for (Param* p : {&site.alpha_proj, &site.beta_proj, &site.alpha_scale, &site.beta_scale})
            p->bind(params);
        site.tanh = arena.view<Real>(site.tanh_id);
    }
    if (!dynamic_) return;
    xhat_ = arena.view<Real>(xhat_id_);
    dxhat_ = arena.view<Real>(dxhat_id_);
    rstd_ = arena.view<Real>(rstd_id_);
    dz_ = arena.view<Real>(dz_id_);
}

// xhat = LN(X[j]) for every stream of every token.
template <class Real>
void Hyper<Real>::normalise(const Context& ctx, int l) {
    const Index c = this->shape().channels;
    const auto eps = static_cast<Real>(this->shape().norm_eps);
    for_tokens(ctx, rstd_.count(), [&](Index r) {
        const Real* x = this->x(l).data + r * c;
        Real* out = xhat_.row(r);
        Real mean = 0;
        for (Index i = 0; i < c; ++i) mean += x[i];
        mean /= static_cast<Real>(c);
        for (Index i = 0; i < c; ++i) out[i] = x[i] - mean;
        const Real rstd = Real(1) / std::sqrt(dot(out, out, c) / static_cast<Real>(c) + eps);
        for (Index i = 0; i < c; ++i) out[i] *= rstd;
        rstd_.data[r] = rstd;
    });
}

template <class Real>
void Hyper<Real>::coefficients(const Context& ctx, int l) {
    const Index c = this->shape().channels, m = k() + 2;
    if (l > this->sublayers()) {  // the sum of the streams
        std::fill(this->coef(l).data, this->coef(l).data + this->coef(l).count(), Real(1));
        return;
    }
    Site& site = sites_[static_cast<std::size_t>(l - 1)];
    if (dynamic_) {
        normalise(ctx, l);
        gemm(ctx, Op::none, Op::transpose, xhat_.extent(0), m - 1, c, Real(1), xhat_.data, c,
             site.alpha_proj.value.data, c, Real(0), site.tanh.data, m);
        gemm(ctx, Op::none, Op::transpose, xhat_.extent(0), Index{1}, c, Real(1), xhat_.data, c,
             site.beta_proj.value.data, c, Real(0), site.tanh.data + m - 1, m);
    }
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        Real* pre = this->coef(l).row(n);
        Real* post = pre + k();
        Real* res = post + k();
        for (Index j = 0; j < k(); ++j) {
            const Real* alpha = site.alpha.value.row(j);
            pre[j] = alpha[0];
            post[j] = site.beta.value.data[j];
            std::copy(alpha + 1, alpha + 1 + k(), res + j * k());
            if (!dynamic_) continue;
            Real* t = site.tanh.row(n * k() + j);
            for (Index i = 0; i < m; ++i) t[i] = std::tanh(t[i]);
            const Real a = site.alpha_scale.value.data[0];
            pre[j] += a * t[0];
            for (Index i = 0; i < k(); ++i) res[j * k() + i] += a * t[1 + i];
            post[j] += site.beta_scale.value.data[0] * t[m - 1];
        }
    });
}

template <class Real>
void Hyper<Real>::coefficients_backward(const Context& ctx, int l) {
    if (l > this->sublayers()) return;
    Site& site = sites_[static_cast<std::size_t>(l - 1)];
    static_backward(site);
    if (!dynamic_) return;
    normalise(ctx, l);
    project_backward(ctx, site);
}

// dalpha_s += sum_n dalpha, dbeta_s += sum_n dbeta; with tanh also the scales and dz.
template <class Real>
void Hyper<Real>::static_backward(Site& site) {
    const Index m = k() + 2;
    for (Index n = 0; n < this->shape().tokens; ++n) {
        const Real* dpre = this->dcoef().row(n);
        const Real* dpost = dpre + k();
        const Real* dres = dpost + k();
        for (Index j = 0; j < k(); ++j) {
            Real* dalpha = site.alpha.grad.row(j);
            dalpha[0] += dpre[j];
            axpy(Real(1), dres + j * k(), dalpha + 1, k());
            site.beta.grad.data[j] += dpost[j];
            if (!dynamic_) continue;
            const Real* t = site.tanh.row(n * k() + j);
            Real* dz = dz_.row(n * k() + j);
            dz[0] = dpre[j];
            std::copy(dres + j * k(), dres + (j + 1) * k(), dz + 1);
            dz[m - 1] = dpost[j];
            site.alpha_scale.grad.data[0] += dot(dz, t, m - 1);
            site.beta_scale.grad.data[0] += dz[m - 1] * t[m - 1];
            for (Index i = 0; i < m; ++i)
                dz[i] *= (Real(1) - t[i] * t[i]) *
                         (i < m - 1 ? site.alpha_scale : site.beta_scale).value.data[0];
        }
    }
}

template <class Real>
void Hyper<Real>::project_backward(const Context& ctx, Site& site) {
    const Index c = this->shape().channels, m = k() + 2, rows = xhat_.extent(0);
    gemm(ctx, Op::transpose, Op::none, m - 1, c, rows, Real(1), dz_.data, m, xhat_.data, c, Real(1),
         site.alpha_proj.grad.data, c);
    gemm(ctx, Op::transpose, Op::none, Index{1}, c, rows, Real(1), dz_.data + m - 1, m, xhat_.data,
         c, Real(1), site.beta_proj.grad.data, c);
    gemm(ctx, Op::none, Op::none, rows, c, m - 1, Real(1), dz_.data, m, site.alpha_proj.value.data,
         c, Real(0), dxhat_.data, c);
    for_tokens(ctx, rows, [&](Index r) {
        Real* d = dxhat_.row(r);
        const Real* xh = xhat_.row(r);
        axpy(dz_.row(r)[m - 1], site.beta_proj.value.data, d, c);
        Real mean = 0;
        for (Index i = 0; i < c; ++i) mean += d[i];
        mean /= static_cast<Real>(c);
        const Real along = dot(d, xh, c) / static_cast<Real>(c), rstd = rstd_.data[r];
        Real* dx = this->dx().data + r * c;
        for (Index i = 0; i < c; ++i) dx[i] += rstd * (d[i] - mean - xh[i] * along);
    });
}

}  // namespace

template <class Real>
MixerPtr<Real> make_hyper(const MixerConfig& config, const MixerShape& shape) {
    return std::make_unique<Hyper<Real>>(shape, static_cast<int>(config.streams), config.dynamic);
}
template MixerPtr<float> make_hyper(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_hyper(const MixerConfig&, const MixerShape&);

}  // namespace plumb
