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
#include "mixers/mixers.h"
#include "ops/exp.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

#include <charconv>
#include <cmath>

namespace plumb {
namespace {

enum class Gate : std::uint8_t { scalar, vector, fixed };

struct HighwayOptions {
    Gate gate;
    bool norm_input;
    std::vector<double> bias;  // index l - 1
};

template <class T>
class Highway final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;

    Highway(const MixerShape& shape, HighwayOptions options)
        : DepthMixer<T>(shape),
          options_(std::move(options)),
          norms_(at(shape.sublayers + 1)),
          no_weight_(at(static_cast<int>(shape.channels))) {}

    void declare(Plan& plan, ParamStore<Real>& params) override;
    void bind(const Arena& arena, ParamStore<Real>& params) override;
    void stream(int, Index n, Real* out) const override { std::copy_n(h_.row(n), channels(), out); }
    Index matrix_channels() const override { return n_gates(); }

protected:
    // v_0 is used up by the first read.
    View<T> do_slot(int l) override { return v_[at(std::max(l, 1) - 1)]; }
    void do_begin(const Context&) override {}
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context& ctx, int l) override;
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int l) override;
    View<const T> do_begin_backward(const Context&) override { return dv_; }
    void do_depth_matrix(Index token, View<Real> m) const override;

private:
    // What a token's gate of one sublayer leaves behind.
    struct TokenGate {
        Real scale;  // g = scale h
        Real logit;  // <w, g> (scalar)
        Real t;      // (scalar, static)
    };
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    Index channels() const { return this->shape().channels; }
    bool vector() const { return options_.gate == Gate::vector; }
    // Gates per token.
    Index n_gates() const { return vector() ? channels() : 1; }
    TokenGate& gate(int l, Index n) const {
        return gates_.data[(l - 1) * this->shape().tokens + n];
    }
    const Real* weight(int l) const {
        return options_.gate == Gate::fixed ? no_weight_.data() : w_[at(l - 1)].data;
    }
    // g_l = factor * norm.xhat of token n.
    Real input_factor(int l, Index n) const {
        const PreNorm<T>& norm = norms_[at(l - 1)];
        return norm.raw() ? gate(l, n).scale : gate(l, n).scale / norm.rstd.data[n];
    }
    void write_token(int l, Index n);
    void gate_token(int l, Index n);
    void scalar_backward(int l, Index n, const Real* d);
    void vector_backward(int l, Index n, const Real* d);

    HighwayOptions options_;
    std::vector<PreNorm<T>> norms_;  // of h_l, l = 1..L+1
    std::vector<Real> no_weight_;    // w of a static gate: C zeros
    std::vector<ParamId> weight_id_, bias_id_;
    std::vector<View<Real>> w_, b_, dw_, db_;  // l = 1..L
    std::vector<TensorId> v_id_, t_id_;
    TensorId gates_id_, h_id_, dh_id_, dv_id_, d_id_, dz_id_, dw_part_id_, db_part_id_;
    std::vector<View<T>> v_, t_;    // v_l (N, C); t_l (N, C) of vector gates; l = 1..L
    View<TokenGate> gates_;         // (L, N)
    View<Real> h_, dh_;             // (N, C): h; (1 - t_l) dh_{l+1}, what goes on to h_l
    View<T> dv_;                    // (N, C)
    View<Real> d_;                  // (n_chunks, C), a row
    View<Real> dz_;                 // (N, gates)
    View<Real> dw_part_, db_part_;  // (n_chunks, C), (n_chunks, gates)
    TensorId g_id_, z_id_;
    View<Real> g_, z_;  // vector gates: g, z or dg (N, C)
};

template <class T>
void Highway<T>::declare(Plan& plan, ParamStore<Real>& params) {
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
        if (options_.gate != Gate::fixed) weight_id_.push_back(param("gate.weight", w_shape, 0.0));
        bias_id_.push_back(param("gate.bias", {{'G', n_gates()}}, options_.bias[at(l - 1)]));
        const auto saved = [&](const char* name) {
            return plan.declare<T>(fmt::format("mixer.{}.{}", name, l), token_shape,
                                   Lifetime::saved);
        };
        v_id_.push_back(saved("v"));
        if (vector()) t_id_.push_back(saved("gates"));
    }
    gates_id_ = plan.declare<TokenGate>("mixer.gate", {{'L', this->sublayers()}, {'N', n}},
                                        Lifetime::saved);
    const auto scratch = [&](const char* name, Shape shape) {
        return plan.declare<Real>(name, shape, Lifetime::scratch);
    };
    h_id_ = scratch("mixer.h", token_shape);
    dh_id_ = scratch("mixer.dh", token_shape);
    dv_id_ = plan.declare<T>("mixer.dv", token_shape, Lifetime::scratch);
    d_id_ = scratch("mixer.d", {{'P', chunks}, {'C', c}});
    dz_id_ = scratch("mixer.dz", {{'N', n}, {'G', n_gates()}});
    dw_part_id_ = scratch("mixer.dw", {{'P', chunks}, {'C', c}});
    db_part_id_ = scratch("mixer.db", {{'P', chunks}, {'G', n_gates()}});
    if (!vector()) return;
    g_id_ = scratch("mixer.g", token_shape);
    z_id_ = scratch("mixer.z", token_shape);
}

template <class T>
void Highway<T>::bind(const Arena& arena, ParamStore<Real>& params) {
    for (const ParamId id : weight_id_)
        w_.push_back(params.value(id)), dw_.push_back(params.grad(id));
    for (const ParamId id : bias_id_)
        b_.push_back(params.value(id)), db_.push_back(params.grad(id));
    for (const TensorId id : v_id_) v_.push_back(arena.view<T>(id));
    for (const TensorId id : t_id_) t_.push_back(arena.view<T>(id));
    gates_ = arena.view<TokenGate>(gates_id_);
    dv_ = arena.view<T>(dv_id_);
    const auto real = [&](TensorId id) { return arena.view<Real>(id); };
    h_ = real(h_id_), dh_ = real(dh_id_), d_ = real(d_id_), dz_ = real(dz_id_);
    dw_part_ = real(dw_part_id_), db_part_ = real(db_part_id_);
    if (vector()) g_ = real(g_id_), z_ = real(z_id_);
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void Highway<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels();
    norms_[at(l - 1)] = norm;
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        if (l == 1)
            std::copy_n(v_[0].row(n), c, h_.row(n));
        else
            write_token(l - 1, n);
        norm.put(n, h_.row(n));
        if (l <= this->sublayers()) gate_token(l, n);
    });
    this->template moved<T>(ctx, (vector() && l > 1 ? 2 : 1) * c);
    this->template moved<Real>(ctx, (l == 1 ? 1 : 2) * c + (vector() ? 2 * c : 0));
}

// h_l -> h_{l+1}
template <class T>
void Highway<T>::write_token(int l, Index n) {
    const Index c = channels();
    Real* h = h_.row(n);
    const T* v = v_[at(l - 1)].row(n);
    if (!vector()) {
        const Real t = gate(l, n).t;
#pragma omp simd
        for (Index i = 0; i < c; ++i) h[i] += t * (v[i] - h[i]);
        return;
    }
    const Real *z = z_.row(n), *b = b_[at(l - 1)].data;
    T* t = t_[at(l - 1)].row(n);
#pragma omp simd
    for (Index i = 0; i < c; ++i) {
        t[i] = Real(1) / (Real(1) + fast_exp(-z[i] - b[i]));
        h[i] += t[i] * (v[i] - h[i]);
    }
}

template <class T>
void Highway<T>::gate_token(int l, Index n) {
    const Index c = channels();
    const PreNorm<T>& norm = norms_[at(l - 1)];
    const Real* h = h_.row(n);
    TokenGate& gate = this->gate(l, n);
    gate.scale = Real(1);
    if (options_.norm_input && norm.raw())
        gate.scale = Real(1) / std::sqrt(dot(h, h, c) / static_cast<Real>(c) +
                                         static_cast<Real>(this->shape().norm_eps));
    else if (options_.norm_input)
        gate.scale = norm.rstd.data[n];
    if (vector()) {
        Real* g = g_.row(n);
        for (Index i = 0; i < c; ++i) g[i] = gate.scale * h[i];
    } else {
        gate.logit = gate.scale * dot(weight(l), h, c);
        gate.t = Real(1) / (Real(1) + std::exp(-gate.logit - b_[at(l - 1)].data[0]));
    }
}

// The rest of it, for all gates, is in read(l+1).
template <class T>
void Highway<T>::do_write(const Context& ctx, int l) {
    if (!vector()) return;
    const Index c = channels(), n = this->shape().tokens;
    gemm<Real>(ctx, Op::none, Op::transpose, n, c, c, 1, g_.data, c, weight(l), c, 0, z_.data, c);
    this->template moved<Real>(ctx, 2 * c);
}

// ---- backward -----------------------------------------------------------------------------------

// Finishes dh_l and opens sublayer l-1: dv_{l-1}, dz_{l-1} and what goes on to h_{l-1}.
template <class T>
void Highway<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels(), g = n_gates(), n_tokens = this->shape().tokens;
    const bool last = l > this->sublayers();
    for_chunks(ctx, n_tokens, [&](Index begin, Index end, Index k) {
        std::fill_n(dw_part_.row(k), c, Real(0));
        std::fill_n(db_part_.row(k), g, Real(0));
        for (Index n = begin; n < end; ++n) {
            norm.gradient(n, d_.row(k));
            if (last) std::fill_n(dh_.row(n), c, Real(0));
            if (vector())
                vector_backward(l, n, d_.row(k));
            else
                scalar_backward(l, n, d_.row(k));
        }
    });
    const Index chunks = n_chunks(n_tokens);
    if (l > 1) add_partials<Real>(db_part_, chunks, db_[at(l - 2)]);
    if (!last && options_.gate == Gate::scalar)
        add_partials<Real>(dw_part_, chunks, dw_[at(l - 1)]);
    this->template moved<T>(ctx, (l == 1 ? 1 : vector() ? 4 : 2) * c);
    this->template moved<Real>(ctx, (last ? 1 : 2) * c + (vector() ? 3 * c : 0));
}

// dh_l = (1 - t_l) dh_{l+1} + D_l + scale dz_l (w - g <w, g>/C), without the last term for a raw g.
template <class T>
void Highway<T>::scalar_backward(int l, Index n, const Real* d) {
    const Index c = channels();
    const PreNorm<T>& norm = norms_[at(l - 1)];
    const T* y = norm.xhat.row(n);
    const Real* w = no_weight_.data();
    Real to_w = 0, to_y = 0, dw_from_y = 0;
    if (l <= this->sublayers()) {
        const TokenGate& own = gate(l, n);
        const Real dz = dz_.data[n];
        w = weight(l);
        dw_from_y = dz * input_factor(l, n);
        to_w = own.scale * dz;
        if (options_.norm_input) to_y = -own.scale * dw_from_y * own.logit / static_cast<Real>(c);
    }
    const Real t = l > 1 ? gate(l - 1, n).t : Real(1);  // dv_0 = dh_1
    const T* v = v_[at(std::max(l - 1, 1) - 1)].row(n);
    T* dv = dv_.row(n);
    Real *dh = dh_.row(n), *dw = dw_part_.row(n / kTokenChunk);
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
    if (l == 1) return;
    const Real h_per_y = norm.raw() ? Real(1) : Real(1) / norm.rstd.data[n];
    dz_.data[n] = t * (along_v - h_per_y * along_y);
    db_part_.data[n / kTokenChunk] += dz_.data[n];
}

// The same per channel; z_ holds dg_l = W^T dz_l.
template <class T>
void Highway<T>::vector_backward(int l, Index n, const Real* d) {
    const Index c = channels();
    const PreNorm<T>& norm = norms_[at(l - 1)];
    const T* y = norm.xhat.row(n);
    Real* dh = dh_.row(n);
    if (l <= this->sublayers()) {
        const Real *dg = z_.row(n), scale = gate(l, n).scale, factor = input_factor(l, n);
        Real to_y = 0;
#pragma omp simd reduction(- : to_y)
        for (Index i = 0; i < c; ++i) to_y -= dg[i] * y[i];
        to_y *= options_.norm_input ? scale * factor * factor / static_cast<Real>(c) : Real(0);
#pragma omp simd
        for (Index i = 0; i < c; ++i) dh[i] += scale * dg[i] + to_y * y[i];
    }
    T* dv = dv_.row(n);
    if (l == 1) {
        for (Index i = 0; i < c; ++i) dv[i] = dh[i] + d[i];
        return;
    }
    const Real h_per_y = norm.raw() ? Real(1) : Real(1) / norm.rstd.data[n];
    const Real factor = input_factor(l - 1, n);
    const T *t = t_[at(l - 2)].row(n), *v = v_[at(l - 2)].row(n);
    const T* y_below = norms_[at(l - 2)].xhat.row(n);
    Real *dz = dz_.row(n), *db = db_part_.row(n / kTokenChunk), *g = g_.row(n);
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
    if (!vector()) return dv_;
    const Index c = channels(), n = this->shape().tokens;
    gemm<Real>(ctx, Op::none, Op::none, n, c, c, 1, dz_.data, c, weight(l), c, 0, z_.data, c);
    gemm<Real>(ctx, Op::transpose, Op::none, c, c, n, 1, dz_.data, c, g_.data, c, 1,
               dw_[at(l - 1)].data, c);
    this->template moved<Real>(ctx, 4 * c);
    return dv_;
}

template <class T>
void Highway<T>::do_depth_matrix(Index token, View<Real> m) const {
    const Index rows = this->sublayers() + 1, g = n_gates();
    const auto row = [&](Index r) { return m.data + r * rows * g; };
    for (Index k = 0; k < g; ++k) row(0)[k] = Real(1);
    for (int l = 1; l <= this->sublayers(); ++l)
        for (Index k = 0; k < g; ++k) {
            const Real t = vector() ? Real(t_[at(l - 1)].row(token)[k]) : gate(l, token).t;
            for (int i = 0; i < l; ++i) row(l)[i * g + k] = (Real(1) - t) * row(l - 1)[i * g + k];
            row(l)[l * g + k] = t;
        }
}

std::vector<double> initial_biases(const std::string& text, int sublayers) {
    std::vector<double> b(static_cast<std::size_t>(sublayers));
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    if (!is_number && text != "depth" && text != "uniform")
        throw UsageError(
            fmt::format("mixer.gate_bias={}: use 'depth', 'uniform' or a number such as -3", text));
    for (std::size_t k = 0; k < b.size(); ++k) {
        if (is_number)
            b[k] = number;
        else if (text == "uniform")
            b[k] = -std::log(static_cast<double>(k + 1));
        else
            b[k] = -std::log(std::max(1.0, static_cast<double>(sublayers - 1)));
    }
    return b;
}

}  // namespace

template <class T>
MixerPtr<T> make_highway(const MixerConfig& config, const MixerShape& shape) {
    const Gate gate = config.gate == "scalar"   ? Gate::scalar
                      : config.gate == "vector" ? Gate::vector
                                                : Gate::fixed;
    return std::make_unique<Highway<T>>(
        shape, HighwayOptions{gate, config.gate_input == "norm",
                              initial_biases(config.gate_bias, shape.sublayers)});
}
template MixerPtr<float> make_highway(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_highway(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_highway(const MixerConfig&, const MixerShape&);

}  // namespace plumb
