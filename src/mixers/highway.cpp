// Highway (Srivastava, Greff, Schmidhuber 2015, arXiv:1505.00387) per sublayer, coupled gates:
//
//     h_{l+1} = (1 - t_l) h_l + t_l v_l,    t_l = sigmoid(W_l g_l + b_l),    h_1 = v_0
//
// The gate sees g_l = RMSNorm(h_l) without gain (or h_l, gate_input = raw). scalar: w_l (C), one
// gate a token; vector: W_l (C, C), one gate a channel; static: b_l alone. W starts at 0, so gates
// start at their bias. gate_bias: depth, b = -log(L-1), keeps (1 - 1/L)^L ~ 0.37 of the embedding
// at any depth (ours; a constant -1 leaves 5e-4 at L = 24); uniform, b_l = -log l, makes h_{l+1}
// the mean of all outputs, that is the standard network up to a scale the norms remove (ours); or a
// number. M[l,i] = t_i prod_{i<j<l} (1 - t_j); rows sum to 1.
#include "core/parallel.h"
#include "mixers/materialised_mixer.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/rms_norm.h"

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

template <class Real>
class Highway final : public MaterialisedMixer<Real> {
public:
    Highway(const MixerShape& shape, HighwayOptions options)
        : MaterialisedMixer<Real>(shape), options_(std::move(options)) {}

    void declare(Plan& plan, ParamStore<Real>& params) override;
    void bind(const Arena& arena, ParamStore<Real>& params) override;
    View<const Real> stream(int l) const override { return h_[at(l)]; }
    Index matrix_channels() const override { return n_gates(); }

protected:
    View<Real> do_slot(int l) override { return l == 0 ? h_[0] : v_[at(l - 1)]; }
    void do_begin(const Context&) override {}
    View<const Real> do_read(const Context&, int l) override { return h_[at(l - 1)]; }
    void do_write(const Context& ctx, int l) override;
    View<Real> do_dslot(int l) override { return l > this->sublayers() ? dh_ : d_; }
    void do_read_backward(const Context& ctx, int l) override {
        if (l <= this->sublayers()) add<Real>(ctx, d_, dh_);
    }
    View<const Real> do_write_backward(const Context& ctx, int l) override;
    View<const Real> do_begin_backward(const Context&) override { return dh_; }
    void do_depth_matrix(Index token, View<Real> m) const override;

private:
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    Index channels() const { return this->shape().channels; }
    // Gates per token.
    Index n_gates() const { return options_.gate == Gate::vector ? channels() : 1; }
    // What the gate sees at sublayer l: fills x_ and rstd_ (or uses h_l as it is).
    View<const Real> gate_input(const Context& ctx, int l);
    void gate_backward(const Context& ctx, int l);

    HighwayOptions options_;
    std::vector<ParamId> weight_id_, bias_id_;
    std::vector<View<Real>> w_, b_, dw_, db_;
    std::vector<TensorId> h_id_, v_id_, t_id_;
    std::vector<View<Real>> h_, v_,
        t_;  // h_{l+1} (N, C) l = 0..L; v_l (N, C), t_l (N, gates) l = 1..L
    TensorId dh_id_, d_id_, dv_id_, x_id_, dx_id_, dz_id_, rstd_id_;
    View<Real> dh_, d_, dv_;         // (N, C)
    View<Real> x_, dx_, dz_, rstd_;  // gate input and its gradient (N, C); (N, gates); (N)
};

template <class Real>
void Highway<Real>::declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = this->shape().tokens, c = channels();
    const Shape w_shape =
        options_.gate == Gate::vector ? Shape{{'O', c}, {'C', c}} : Shape{{'C', c}};
    h_id_.push_back(plan.declare<Real>("mixer.h.1", this->token_shape(), Lifetime::saved));
    for (int l = 1; l <= this->sublayers(); ++l) {
        const auto param = [&](const char* name, Shape shape, double init) {
            return params.declare({.name = this->site(l) + name,
                                   .shape = shape,
                                   .init = Init::constant(init),
                                   .group = Group::mixer});
        };
        if (options_.gate != Gate::fixed) weight_id_.push_back(param("gate.weight", w_shape, 0.0));
        bias_id_.push_back(param("gate.bias", {{'G', n_gates()}}, options_.bias[at(l - 1)]));
        const auto saved = [&](const char* name, int k, Shape shape) {
            return plan.declare<Real>(fmt::format("mixer.{}.{}", name, k), shape, Lifetime::saved);
        };
        h_id_.push_back(saved("h", l + 1, this->token_shape()));
        v_id_.push_back(saved("v", l, this->token_shape()));
        t_id_.push_back(saved("gate", l, {{'N', n}, {'G', n_gates()}}));
    }
    const auto scratch = [&](const char* name, Shape shape) {
        return plan.declare<Real>(name, shape, Lifetime::scratch);
    };
    dh_id_ = scratch("mixer.dh", this->token_shape());
    d_id_ = scratch("mixer.d", this->token_shape());
    dv_id_ = scratch("mixer.dv", this->token_shape());
    x_id_ = scratch("mixer.gate_input", this->token_shape());
    dx_id_ = scratch("mixer.dgate_input", this->token_shape());
    dz_id_ = scratch("mixer.dz", {{'N', n}, {'G', n_gates()}});
    rstd_id_ = scratch("mixer.rstd", {{'N', n}});
}

template <class Real>
void Highway<Real>::bind(const Arena& arena, ParamStore<Real>& params) {
    for (const ParamId id : weight_id_)
        w_.push_back(params.value(id)), dw_.push_back(params.grad(id));
    for (const ParamId id : bias_id_)
        b_.push_back(params.value(id)), db_.push_back(params.grad(id));
    for (const TensorId id : h_id_) h_.push_back(arena.view<Real>(id));
    for (const TensorId id : v_id_) v_.push_back(arena.view<Real>(id));
    for (const TensorId id : t_id_) t_.push_back(arena.view<Real>(id));
    dh_ = arena.view<Real>(dh_id_);
    d_ = arena.view<Real>(d_id_);
    dv_ = arena.view<Real>(dv_id_);
    x_ = arena.view<Real>(x_id_);
    dx_ = arena.view<Real>(dx_id_);
    dz_ = arena.view<Real>(dz_id_);
    rstd_ = arena.view<Real>(rstd_id_);
}

template <class Real>
View<const Real> Highway<Real>::gate_input(const Context& ctx, int l) {
    const View<const Real> h = h_[at(l - 1)];
    if (!options_.norm_input) return h;
    rms_norm<Real>(ctx, h, static_cast<Real>(this->shape().norm_eps), x_, rstd_);
    return x_;
}

template <class Real>
void Highway<Real>::do_write(const Context& ctx, int l) {
    const Index c = channels(), g = n_gates();
    const View<Real> t = t_[at(l - 1)], b = b_[at(l - 1)];
    if (options_.gate == Gate::fixed) {
        std::fill(t.data, t.data + t.count(), Real(0));
    } else {
        const View<const Real> w{w_[at(l - 1)].data, {{'G', g}, {'C', c}}, Device::cpu};
        linear<Real>(ctx, gate_input(ctx, l), w, t);
    }
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        Real* gate = t.row(n);
        for (Index k = 0; k < g; ++k)
            gate[k] = Real(1) / (Real(1) + std::exp(-gate[k] - b.data[k]));
        const Real* h = h_[at(l - 1)].row(n);
        const Real* v = v_[at(l - 1)].row(n);
        Real* out = h_[at(l)].row(n);
        const Index stride = g == 1 ? 0 : 1;
        for (Index j = 0; j < c; ++j) out[j] = h[j] + gate[j * stride] * (v[j] - h[j]);
    });
}

// dv = t dh, dt = <v - h, dh> (per channel for a vector gate), dh_l = (1 - t) dh + through the
// gate.
template <class Real>
View<const Real> Highway<Real>::do_write_backward(const Context& ctx, int l) {
    const Index c = channels(), g = n_gates(), stride = g == 1 ? 0 : 1;
    for_tokens(ctx, this->shape().tokens, [&](Index n) {
        const Real* t = t_[at(l - 1)].row(n);
        const Real* h = h_[at(l - 1)].row(n);
        const Real* v = v_[at(l - 1)].row(n);
        Real* dh = dh_.row(n);
        Real* dv = dv_.row(n);
        Real* dz = dz_.row(n);
        std::fill(dz, dz + g, Real(0));
        for (Index j = 0; j < c; ++j) {
            dz[j * stride] += (v[j] - h[j]) * dh[j];
            dv[j] = t[j * stride] * dh[j];
            dh[j] -= dv[j];
        }
        for (Index k = 0; k < g; ++k) dz[k] *= t[k] * (Real(1) - t[k]);
    });
    gate_backward(ctx, l);
    return dv_;
}

template <class Real>
void Highway<Real>::gate_backward(const Context& ctx, int l) {
    const Index c = channels(), g = n_gates(), n_tokens = this->shape().tokens;
    for (Index n = 0; n < n_tokens; ++n) axpy(Real(1), dz_.row(n), db_[at(l - 1)].data, g);
    if (options_.gate == Gate::fixed) return;
    const View<const Real> x = gate_input(ctx, l);
    const Shape w_shape{{'G', g}, {'C', c}};
    linear_backward<Real>(ctx, dz_, x, {w_[at(l - 1)].data, w_shape, Device::cpu}, dx_,
                          {dw_[at(l - 1)].data, w_shape, Device::cpu});
    for_tokens(ctx, n_tokens, [&](Index n) {
        const Real* dx = dx_.row(n);
        if (!options_.norm_input) return axpy(Real(1), dx, dh_.row(n), c);
        const Real r = rstd_.data[n], along = dot(dx, x.row(n), c) / static_cast<Real>(c);
        axpy(r, dx, dh_.row(n), c);
        axpy(-r * along, x.row(n), dh_.row(n), c);
    });
}

template <class Real>
void Highway<Real>::do_depth_matrix(Index token, View<Real> m) const {
    const Index rows = this->sublayers() + 1, g = n_gates();
    const auto row = [&](Index r) { return m.data + r * rows * g; };
    for (Index k = 0; k < g; ++k) row(0)[k] = Real(1);
    for (int l = 1; l <= this->sublayers(); ++l) {
        const Real* t = t_[at(l - 1)].row(token);
        for (Index k = 0; k < g; ++k) {
            for (int i = 0; i < l; ++i)
                row(l)[i * g + k] = (Real(1) - t[k]) * row(l - 1)[i * g + k];
            row(l)[l * g + k] = t[k];
        }
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

template <class Real>
MixerPtr<Real> make_highway(const MixerConfig& config, const MixerShape& shape) {
    const Gate gate = config.gate == "scalar"   ? Gate::scalar
                      : config.gate == "vector" ? Gate::vector
                                                : Gate::fixed;
    return std::make_unique<Highway<Real>>(
        shape, HighwayOptions{gate, config.gate_input == "norm",
                              initial_biases(config.gate_bias, shape.sublayers)});
}
template MixerPtr<float> make_highway(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_highway(const MixerConfig&, const MixerShape&);

}  // namespace plumb
