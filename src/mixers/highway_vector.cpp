// Highway with a gate for each channel: a diagonal per token, not scalars, so its passes are
// written by hand on the rows of RowInPlace.
//
//     z = W g_l,  t = sigmoid(z + b),  h_{l+1} = h_l + t (v_l - h_l)
//     dv_l = t x,  dz = t (1 - t) (v_l - h_l) x = t (v_l - h_{l+1}) x          x = dLoss/dh_{l+1}
//     dg = W^T dz,  dW += dz g^T,  dh_l = (1 - t) x + D_l + dg through the norm of g
//
// z, dg and dW are matrix products over all tokens, in write(l) and write_backward(l); the rest is
// one pass a site. g_l is found again from what the pre-norm of site l keeps. Numbers moved per
// token and sublayer, without the norm's: forward 8 C (h twice, v, t, g, z, and both in the
// product), backward 13 C (v, dv, dh twice, t, dg, dz, g, the norm's, and four in the products).
#include "core/parallel.h"
#include "mixers/derive_matrix.h"
#include "mixers/highway.h"
#include "mixers/memories/row_in_place.h"
#include "ops/exp.h"
#include "ops/matmul.h"
#include "ops/pre_norm_cpu.h"
#include "ops/reduce.h"

namespace plumb {
namespace {

template <class T>
class HighwayVector final : public RowInPlace<T> {
public:
    using Real = RealOf<T>;

    explicit HighwayVector(HighwayRule rule)
        : RowInPlace<T>(rule.shape()), rule_(std::move(rule)) {}
    Index matrix_channels() const override { return channels(); }

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context& ctx, int l) override;
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int l) override;
    typename DepthMixer<T>::OfToken do_matrices(const Context& ctx) const override;
    MovedNumbers moves(DepthCall call, int l) const override;

private:
    using RowInPlace<T>::at, RowInPlace<T>::channels, RowInPlace<T>::chunks, RowInPlace<T>::tokens;
    struct Site {
        const Real* b = nullptr;
        View<T> t{};            // (N, C)
        Real* scale = nullptr;  // (N)
        typename DepthMixer<T>::LeftNorm norm{};
    };
    // Empty but for l = 1..L.
    Site site(const Context& ctx, int l) const {
        if (l < 1 || l > this->sublayers()) return {};
        return {ctx.value(b_[at(l)]).data, ctx(t_[at(l)]), ctx(scale_).data + (l - 1) * tokens(),
                this->left_norms(ctx)[l - 1]};
    }

    HighwayRule rule_;
    std::vector<Param<Real>> w_, b_;  // (C, C), (C)
    std::vector<Tensor<T>> t_;        // (N, C)
    Tensor<Real> scale_;              // (L, N): g = scale h
    Tensor<Real> g_, z_, dz_;         // (N, C); z_ holds z, backward dg
    Tensor<Real> db_;                 // (n_chunks, C)
};

template <class T>
void HighwayVector<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    this->declare_rows(plan, true, false);
    for (int l = 1; l <= this->sublayers(); ++l) {
        const std::vector<RuleParam> all = rule_.params(l);
        w_.push_back(params.declare(param_spec(all[0], l, this->layout())));
        b_.push_back(params.declare(param_spec(all[1], l, this->layout())));
        t_.push_back(plan.saved<T>(fmt::format("mixer.gates.{}", l), this->token_shape()));
    }
    scale_ = plan.saved<Real>("mixer.scale", {{'L', this->sublayers()}, {'N', tokens()}});
    g_ = plan.scratch<Real>("mixer.g", this->token_shape());
    z_ = plan.scratch<Real>("mixer.z", this->token_shape());
    dz_ = plan.scratch<Real>("mixer.dz", this->token_shape());
    db_ = plan.cpu_scratch<Real>("mixer.db", {{'P', chunks()}, {'C', channels()}});
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void HighwayVector<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels();
    const auto m = this->rows(ctx, l);
    const Site below = site(ctx, l - 1), own = site(ctx, l);
    const View<Real> gs = ctx(g_), zs = ctx(z_);
    for_tokens(ctx, tokens(), [&](Index n) {
        Real* h = m.h.row(n);
        const T* v = m.v.row(n);
        if (l == 1) {
            copy_row(v, h, c);
        } else {
            const Real *z = zs.row(n), *b = below.b;
            T* t = below.t.row(n);
#pragma omp simd
            for (Index i = 0; i < c; ++i) {
                t[i] = Real(1) / (Real(1) + fast_exp(-z[i] - b[i]));
                h[i] += t[i] * (v[i] - h[i]);
            }
        }
        norm_put(norm, n, h);
        if (!own.b) return;
        const Real scale = own.scale[n] = rule_.scale(row_dot(h, h, c));
        Real* g = gs.row(n);
        for (Index i = 0; i < c; ++i) g[i] = scale * h[i];
    });
}

template <class T>
void HighwayVector<T>::do_write(const Context& ctx, int l) {
    const Index c = channels();
    gemm<Real>(ctx, Op::none, Op::transpose, tokens(), c, c, 1, ctx(g_).data, c,
               ctx.value(w_[at(l)]).data, c, 0, ctx(z_).data, c);
}

// ---- backward -----------------------------------------------------------------------------------

// A token: x = dLoss/dh_l, where <dg, scale h_l> is a dot product with a query of the token's own;
// then dv_{l-1}, dz, what goes on to h_{l-1}; g_{l-1} again.
template <class T>
void HighwayVector<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels();
    const auto m = this->rows(ctx, l);
    const Site below = site(ctx, l - 1), own = site(ctx, l);
    const View<Real> gs = ctx(g_), zs = ctx(z_), dzs = ctx(dz_), dbs = ctx(db_);
    for_chunks(ctx, tokens(), [&](Index begin, Index end, Index k) {
        Real* db = dbs.row(k);
        std::fill_n(db, c, Real(0));
        for (Index n = begin; n < end; ++n) {
            RowGradient<T> r = this->gradient(m, norm, n);
            Real du_hh = 0, scale = 0, *g = gs.row(n), *dz = dzs.row(n);
            if (own.b) {
                scale = own.scale[n];
                r.q = zs.row(n), r.dq = g;  // g is overwritten below
                if (rule_.norm_input())
                    du_hh = -scale * scale * scale * r.h_per_y * row_dot(r.q, r.y, c) /
                            static_cast<Real>(2 * c);
            }
            if (!below.b) {
                row_backward(r, du_hh, scale, Real(1), Real(1));
                continue;
            }
            row_total(r, du_hh, scale);
            const T *t = below.t.row(n), *y = below.norm.xhat + n * c;
            const Real g_per_y = below.scale[n] / (below.norm.rstd ? below.norm.rstd[n] : Real(1));
#pragma omp simd
            for (Index i = 0; i < c; ++i) {
                const Real xi = r.x[i], tx = t[i] * xi;
                const Real dzi = tx * (r.v[i] - r.h_per_y * r.y[i]);
                r.dv[i] = tx;
                r.dh[i] = xi - tx;
                dz[i] = dzi;
                db[i] += dzi;
                g[i] = g_per_y * y[i];
            }
        }
    });
    if (l > 1) add_partials<Real>(ctx, dbs, ctx.grad(b_[at(l - 1)]));
}

template <class T>
View<const T> HighwayVector<T>::do_write_backward(const Context& ctx, int l) {
    const Index c = channels(), n = tokens();
    const Real* dz = ctx(dz_).data;
    gemm<Real>(ctx, Op::none, Op::none, n, c, c, 1, dz, c, ctx.value(w_[at(l)]).data, c, 0,
               ctx(z_).data, c);
    gemm<Real>(ctx, Op::transpose, Op::none, c, c, n, 1, dz, c, ctx(g_).data, c, 1,
               ctx.grad(w_[at(l)]).data, c);
    return ctx(this->dv_);
}

// ---- what moves, M ------------------------------------------------------------------------------

template <class T>
MovedNumbers HighwayVector<T>::moves(DepthCall call, int l) const {
    const Index c = channels(), h = l == 1 ? 1 : 2;
    switch (call) {
        case DepthCall::read:  // v and t; h, z and g
            return {h * c, (h + 2) * c};
        case DepthCall::write:  // g, z
            return {0, 2 * c};
        case DepthCall::read_backward:  // y of below too; dh, dg, dz and g
            return {(l == 1 ? 1 : 4) * c, (l > this->sublayers() ? 4 : 5) * c};
        case DepthCall::write_backward:  // two products
            return {0, 4 * c};
        default:
            return {};
    }
}

template <class T>
auto HighwayVector<T>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    return [this, ctx](Index n, View<Real> m, int) {
        derive_matrix<Real>(
            rule_,
            [&](int l, std::vector<double>& c, std::vector<double>& a) {
                c.assign(static_cast<std::size_t>(channels()), 1.0);
                a.clear();
                if (l <= this->sublayers())
                    for (Index i = 0; i < channels(); ++i) {
                        const auto t = static_cast<double>(Real(ctx(t_[at(l)]).row(n)[i]));
                        a.insert(a.end(), {1 - t, t});
                    }
            },
            m);
    };
}

}  // namespace

template <class T>
MixerPtr<T> make_highway_vector(HighwayRule rule) {
    return std::make_unique<HighwayVector<T>>(std::move(rule));
}
template MixerPtr<float> make_highway_vector(HighwayRule);
template MixerPtr<double> make_highway_vector(HighwayRule);
template MixerPtr<Bf16> make_highway_vector(HighwayRule);

}  // namespace plumb
