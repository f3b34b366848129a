// Highway (Srivastava, Greff, Schmidhuber 2015, arXiv:1505.00387) per sublayer, coupled gates:
//
//     h_{l+1} = (1 - t_l) h_l + t_l v_l,    t_l = sigmoid(W_l g_l + b_l),    h_1 = v_0
//
// The gate sees g_l = RMSNorm(h_l) without gain (or h_l, gate_input = raw). scalar: w_l (C), one
// gate a token; vector: W_l (C, C), one gate a channel; static: b_l alone. W starts at 0, so gates
// start at their bias. gate_bias: uniform (default), b_l = -log l, makes h_{l+1} the mean of all
// outputs, that is the standard network up to a scale the norms remove (ours); depth,
// b = -log(L-1), keeps (1 - 1/L)^L ~ 0.37 of the embedding at any depth (ours; a constant -1 leaves
// 5e-4 at L = 24), but starts with gradients several times smaller; or a number. M[l,i] = t_i
// prod_{i<j<l} (1 - t_j); rows sum to 1.
//
// One running h in Real; v_l is kept in T, h_l only as the pre-norm keeps it. Backward needs
// v_l - h_l = (v_l - h_{l+1}) / (1 - t_l), so that one pass per site has all it reads at hand:
//
//     dv_l = t_l dh_{l+1},    dz_l = t_l (1 - t_l) <v_l - h_l, dh_{l+1}>
//                                  = t_l <v_l - h_{l+1}, dh_{l+1}>          z = W g + b
//
// Numbers moved per token and sublayer, without the norm's: forward 3 C as `standard`; backward
// 4 C (v_l, dv_l, dh twice). Vector gates move 14 C more, with their three products.
#include "core/parallel.h"
#include "mixers/highway_rule.h"
#include "mixers/mixers.h"
#include "ops/exp.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

#include <cmath>

namespace plumb {
namespace {

template <class T>
class Highway final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;

    Highway(const MixerShape& shape, HighwayOptions options)
        : DepthMixer<T>(shape),
          options_(std::move(options)),
          no_weight_(static_cast<std::size_t>(shape.channels)) {}

    void stream(const Context& ctx, int, Index n, Real* out) const override {
        std::copy_n(ctx(h_).row(n), channels(), out);
    }
    Index matrix_channels() const override { return n_gates(); }

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    // v_0 is used up by the first read.
    View<T> do_slot(const Context& ctx, int l) const override {
        return ctx(v_[at(std::max(l, 1))]);
    }
    void do_begin(const Context&) override {}
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context& ctx, int l) override;
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int l) override;
    View<const T> do_begin_backward(const Context& ctx) override { return ctx(dv_); }
    void do_depth_matrix(const Context& ctx, Index token, View<Real> m) const override;

private:
    // What a token's gate of one sublayer leaves behind.
    struct TokenGate {
        Real scale;  // g = scale h
        Real logit;  // <w, g> (scalar)
        Real t;      // (scalar, static)
    };
    static std::size_t at(int l) { return static_cast<std::size_t>(l - 1); }
    Index channels() const { return this->shape().channels; }
    bool vector() const { return options_.gate == Gate::vector; }
    Index n_gates() const { return vector() ? channels() : 1; }  // of a token
    // Of sublayer l = 1..L.
    struct Sublayer {
        const Real *w, *b;                      // (C) or (C, C), (gates)
        View<T> v, t;                           // (N, C); t of vector gates
        TokenGate* gate;                        // (N)
        typename DepthMixer<T>::LeftNorm norm;  // of h_l

        // g_l = factor * norm.xhat of token n.
        Real input_factor(Index n) const {
            return norm.rstd ? gate[n].scale / norm.rstd[n] : gate[n].scale;
        }
    };
    Sublayer sublayer(const Context& ctx, int l) const;
    // A frame's memory, looked up once a site.
    struct Memory {
        int l;
        const PreNorm<T>& norm;  // of h_l
        Sublayer below, own;     // l-1 and l; where there is none, its neighbour
        View<T> dv;
        View<Real> h, dh, d, dz, dw, db, g, z;
    };
    Memory memory(const Context& ctx, int l, const PreNorm<T>& norm) const;
    void write_token(const Memory& m, Index n) const;
    void gate_token(const Memory& m, Index n) const;
    void scalar_backward(const Memory& m, Index n, const Real* d) const;
    void vector_backward(const Memory& m, Index n, const Real* d) const;

    HighwayOptions options_;
    std::vector<Real> no_weight_;     // w of a static gate: C zeros
    std::vector<Param<Real>> w_, b_;  // l = 1..L
    std::vector<Tensor<T>> v_, t_;    // v_l (N, C); t_l (N, C) of vector gates; l = 1..L
    Tensor<TokenGate> gates_;         // (L, N)
    Tensor<Real> h_, dh_;             // (N, C): h; (1 - t_l) dh_{l+1}, what goes on to h_l
    Tensor<T> dv_;                    // (N, C)
    Tensor<Real> d_;                  // (n_chunks, C), a row
    Tensor<Real> dz_;                 // (N, gates)
    Tensor<Real> dw_part_, db_part_;  // (n_chunks, C), (n_chunks, gates)
    Tensor<Real> g_, z_;              // vector gates: g, z or dg (N, C)
};

template <class T>
void Highway<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = this->shape().tokens, c = channels(), chunks = n_chunks(n);
    const Shape token_shape = this->token_shape();
    const Shape w_shape = vector() ? Shape{{'O', c}, {'C', c}} : Shape{{'C', c}};
    for (int l = 1; l <= this->sublayers(); ++l) {
        const auto param = [&](const char* name, Shape shape, double init) {
            return params.declare({.name = this->site(l) + name,
                                   .shape = shape,
                                   .init = Init::constant(init),
                                   .group = Group::mixer});
        };
        if (options_.gate != Gate::fixed) w_.push_back(param("gate.weight", w_shape, 0.0));
        b_.push_back(param("gate.bias", {{'G', n_gates()}}, options_.bias[at(l)]));
        v_.push_back(plan.saved<T>(fmt::format("mixer.v.{}", l), token_shape));
        if (vector()) t_.push_back(plan.saved<T>(fmt::format("mixer.gates.{}", l), token_shape));
    }
    gates_ = plan.saved<TokenGate>("mixer.gate", {{'L', this->sublayers()}, {'N', n}});
    h_ = plan.scratch<Real>("mixer.h", token_shape);
    dh_ = plan.scratch<Real>("mixer.dh", token_shape);
    dv_ = plan.scratch<T>("mixer.dv", token_shape);
    d_ = plan.scratch<Real>("mixer.d", {{'P', chunks}, {'C', c}});
    dz_ = plan.scratch<Real>("mixer.dz", {{'N', n}, {'G', n_gates()}});
    dw_part_ = plan.scratch<Real>("mixer.dw", {{'P', chunks}, {'C', c}});
    db_part_ = plan.scratch<Real>("mixer.db", {{'P', chunks}, {'G', n_gates()}});
    if (!vector()) return;
    g_ = plan.scratch<Real>("mixer.g", token_shape);
    z_ = plan.scratch<Real>("mixer.z", token_shape);
}

template <class T>
auto Highway<T>::sublayer(const Context& ctx, int l) const -> Sublayer {
    const std::size_t k = at(l);
    return {options_.gate == Gate::fixed ? no_weight_.data() : ctx.value(w_[k]).data,
            ctx.value(b_[k]).data,
            ctx(v_[k]),
            vector() ? ctx(t_[k]) : View<T>{},
            ctx(gates_).data + (l - 1) * this->shape().tokens,
            this->left_norms(ctx)[l - 1]};
}

template <class T>
auto Highway<T>::memory(const Context& ctx, int l, const PreNorm<T>& norm) const -> Memory {
    const Sublayer below = sublayer(ctx, std::max(l - 1, 1));
    const Sublayer own = sublayer(ctx, std::min(l, this->sublayers()));
    return {l,       norm,     below,         own,           ctx(dv_), ctx(h_), ctx(dh_),
            ctx(d_), ctx(dz_), ctx(dw_part_), ctx(db_part_), ctx(g_),  ctx(z_)};
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void Highway<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels();
    const Memory m = memory(ctx, l, norm);
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        if (l == 1)
            std::copy_n(m.own.v.row(n), c, m.h.row(n));
        else
            write_token(m, n);
        norm.put(n, m.h.row(n));
        if (l <= this->sublayers()) gate_token(m, n);
    });
    this->template moved<T>(ctx, (vector() && l > 1 ? 2 : 1) * c);
    this->template moved<Real>(ctx, (l == 1 ? 1 : 2) * c + (vector() ? 2 * c : 0));
}

// h_{l-1} -> h_l
template <class T>
void Highway<T>::write_token(const Memory& m, Index n) const {
    const Index c = channels();
    Real* h = m.h.row(n);
    const T* v = m.below.v.row(n);
    if (!vector()) {
        const Real t = m.below.gate[n].t;
#pragma omp simd
        for (Index i = 0; i < c; ++i) h[i] += t * (v[i] - h[i]);
        return;
    }
    const Real *z = m.z.row(n), *b = m.below.b;
    T* t = m.below.t.row(n);
#pragma omp simd
    for (Index i = 0; i < c; ++i) {
        t[i] = Real(1) / (Real(1) + fast_exp(-z[i] - b[i]));
        h[i] += t[i] * (v[i] - h[i]);
    }
}

template <class T>
void Highway<T>::gate_token(const Memory& m, Index n) const {
    const Index c = channels();
    const Real* h = m.h.row(n);
    TokenGate& gate = m.own.gate[n];
    gate.scale = Real(1);
    if (options_.norm_input && m.norm.raw())
        gate.scale = Real(1) / std::sqrt(dot(h, h, c) / static_cast<Real>(c) +
                                         static_cast<Real>(this->shape().norm_eps));
    else if (options_.norm_input)
        gate.scale = m.norm.rstd.data[n];
    if (vector()) {
        Real* g = m.g.row(n);
        for (Index i = 0; i < c; ++i) g[i] = gate.scale * h[i];
    } else {
        gate.logit = gate.scale * dot(m.own.w, h, c);
        gate.t = Real(1) / (Real(1) + std::exp(-gate.logit - m.own.b[0]));
    }
}

// The rest of it, for all gates, is in read(l+1).
template <class T>
void Highway<T>::do_write(const Context& ctx, int l) {
    if (!vector()) return;
    const Index c = channels(), n = this->shape().tokens;
    gemm<Real>(ctx, Op::none, Op::transpose, n, c, c, 1, ctx(g_).data, c, sublayer(ctx, l).w, c, 0,
               ctx(z_).data, c);
    this->template moved<Real>(ctx, 2 * c);
}

// ---- backward -----------------------------------------------------------------------------------

// Finishes dh_l and opens sublayer l-1: dv_{l-1}, dz_{l-1} and what goes on to h_{l-1}.
template <class T>
void Highway<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels(), g = n_gates(), n_tokens = this->shape().tokens;
    const bool last = l > this->sublayers();
    const Memory m = memory(ctx, l, norm);
    for_chunks(ctx, n_tokens, [&](Index begin, Index end, Index k) {
        Real* d = m.d.row(k);
        std::fill_n(m.dw.row(k), c, Real(0));
        std::fill_n(m.db.row(k), g, Real(0));
        for (Index n = begin; n < end; ++n) {
            norm.gradient(n, d);
            if (last) std::fill_n(m.dh.row(n), c, Real(0));
            if (vector())
                vector_backward(m, n, d);
            else
                scalar_backward(m, n, d);
        }
    });
    if (l > 1) add_partials<Real>(m.db, n_chunks(n_tokens), ctx.grad(b_[at(l - 1)]));
    if (!last && options_.gate == Gate::scalar)
        add_partials<Real>(m.dw, n_chunks(n_tokens), ctx.grad(w_[at(l)]));
    this->template moved<T>(ctx, (l == 1 ? 1 : vector() ? 4 : 2) * c);
    this->template moved<Real>(ctx, (last ? 1 : 2) * c + (vector() ? 3 * c : 0));
}

// dh_l = (1 - t_l) dh_{l+1} + D_l + scale dz_l (w - g <w, g>/C), without the last term for a raw g.
template <class T>
void Highway<T>::scalar_backward(const Memory& m, Index n, const Real* d) const {
    const Index c = channels();
    const T *y = m.norm.xhat.row(n), *v = m.below.v.row(n);
    const Real* w = no_weight_.data();
    Real to_w = 0, to_y = 0, dw_from_y = 0;
    if (m.l <= this->sublayers()) {
        const TokenGate& gate = m.own.gate[n];
        const Real dz = m.dz.data[n];
        w = m.own.w;
        dw_from_y = dz * m.own.input_factor(n);
        to_w = gate.scale * dz;
        if (options_.norm_input) to_y = -gate.scale * dw_from_y * gate.logit / static_cast<Real>(c);
    }
    const Real t = m.l > 1 ? m.below.gate[n].t : Real(1);  // dv_0 = dh_1
    T* dv = m.dv.row(n);
    Real *dh = m.dh.row(n), *dw = m.dw.row(n / kTokenChunk);
    Real along_v = 0, along_y = 0;
#pragma omp simd reduction(+ : along_v, along_y)
    for (Index i = 0; i < c; ++i) {
        const Real yi = y[i];
        const Real x = dh[i] + d[i] + to_w * w[i] + to_y * yi;
        const Real tx = t * x;
        dw[i] += dw_from_y * yi;
        along_v += v[i] * x;
        along_y += yi * x;
        dv[i] = tx;
        dh[i] = x - tx;
    }
    if (m.l == 1) return;
    const Real h_per_y = m.norm.raw() ? Real(1) : Real(1) / m.norm.rstd.data[n];
    m.dz.data[n] = t * (along_v - h_per_y * along_y);
    m.db.data[n / kTokenChunk] += m.dz.data[n];
}

// The same per channel; z_ holds dg_l = W^T dz_l.
template <class T>
void Highway<T>::vector_backward(const Memory& m, Index n, const Real* d) const {
    const Index c = channels();
    const T* y = m.norm.xhat.row(n);
    Real* dh = m.dh.row(n);
    if (m.l <= this->sublayers()) {
        const Real *dg = m.z.row(n), scale = m.own.gate[n].scale, factor = m.own.input_factor(n);
        Real to_y = 0;
#pragma omp simd reduction(- : to_y)
        for (Index i = 0; i < c; ++i) to_y -= dg[i] * y[i];
        to_y *= options_.norm_input ? scale * factor * factor / static_cast<Real>(c) : Real(0);
#pragma omp simd
        for (Index i = 0; i < c; ++i) dh[i] += scale * dg[i] + to_y * y[i];
    }
    T* dv = m.dv.row(n);
    if (m.l == 1) {
        for (Index i = 0; i < c; ++i) dv[i] = dh[i] + d[i];
        return;
    }
    const Real h_per_y = m.norm.raw() ? Real(1) : Real(1) / m.norm.rstd.data[n];
    const Real factor = m.below.input_factor(n);
    const T *t = m.below.t.row(n), *v = m.below.v.row(n), *y_below = m.below.norm.xhat + n * c;
    Real *dz = m.dz.row(n), *db = m.db.row(n / kTokenChunk), *g = m.g.row(n);
#pragma omp simd
    for (Index i = 0; i < c; ++i) {
        const Real x = dh[i] + d[i], ti = t[i], tx = ti * x;
        const Real dzi = tx * (v[i] - h_per_y * y[i]);
        dv[i] = tx;
        dh[i] = x - tx;
        dz[i] = dzi;
        db[i] += dzi;
        g[i] = factor * y_below[i];
    }
}

template <class T>
View<const T> Highway<T>::do_write_backward(const Context& ctx, int l) {
    const View<T> dv = ctx(dv_);
    if (!vector()) return dv;
    const Index c = channels(), n = this->shape().tokens;
    const Real *dz = ctx(dz_).data, *w = sublayer(ctx, l).w;
    gemm<Real>(ctx, Op::none, Op::none, n, c, c, 1, dz, c, w, c, 0, ctx(z_).data, c);
    gemm<Real>(ctx, Op::transpose, Op::none, c, c, n, 1, dz, c, ctx(g_).data, c, 1,
               ctx.grad(w_[at(l)]).data, c);
    this->template moved<Real>(ctx, 4 * c);
    return dv;
}

template <class T>
void Highway<T>::do_depth_matrix(const Context& ctx, Index token, View<Real> m) const {
    const Index rows = this->sublayers() + 1, g = n_gates();
    const auto row = [&](Index r) { return m.data + r * rows * g; };
    for (Index k = 0; k < g; ++k) row(0)[k] = Real(1);
    for (int l = 1; l <= this->sublayers(); ++l) {
        const Sublayer s = sublayer(ctx, l);
        for (Index k = 0; k < g; ++k) {
            const Real t = vector() ? Real(s.t.row(token)[k]) : s.gate[token].t;
            for (int i = 0; i < l; ++i) row(l)[i * g + k] = (Real(1) - t) * row(l - 1)[i * g + k];
            row(l)[l * g + k] = t;
        }
    }
}

}  // namespace

template <class T>
MixerPtr<T> make_highway(const MixerConfig& config, const MixerShape& shape) {
    return std::make_unique<Highway<T>>(shape, highway_setting(config, shape.sublayers));
}
template MixerPtr<float> make_highway(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_highway(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_highway(const MixerConfig&, const MixerShape&);

}  // namespace plumb
