#include "model/sublayer.h"

#include "ops/activation.h"
#include "ops/matmul.h"

#include <cmath>

namespace plumb {
namespace {

AttentionShape attention_shape(const SublayerShape& s) {
    return {s.batch, s.model.context, s.model.heads, s.model.kv_heads, s.model.head_dim};
}

Index up_width(const ModelConfig& m) { return m.mlp == "swiglu" ? 2 * m.mlp_hidden : m.mlp_hidden; }

template <class Real>
ParamId weight(ParamStore<Real>& params, const std::string& name, Index out, Index in, double std) {
    return params.declare(
        {.name = name, .shape = {{'O', out}, {'I', in}}, .init = Init::normal(std), .decay = true});
}

// 0.02 / sqrt(2 L_b) for projections that write to the residual connection (GPT-2).
double output_std(const ModelConfig& m) {
    const double depth = static_cast<double>(m.sublayers());
    return m.init_std * (m.scale_output_init ? 1.0 / std::sqrt(depth) : 1.0);
}

template <class T>
class Attention final : public Sublayer<T> {
public:
    using Real = RealOf<T>;

    Attention(std::string prefix, const SublayerShape& shape, Workspace<T>& work)
        : prefix_(std::move(prefix)), shape_(shape), attn_(attention_shape(shape)), work_(work) {}

    void declare(Plan& plan, ParamStore<Real>& params) override {
        const ModelConfig& m = shape_.model;
        const Index n = shape_.tokens();
        w_qkv_ = weight(params, prefix_ + ".qkv.weight", attn_.qkv_width(), m.width, m.init_std);
        if (m.qk_norm)
            for (ParamId* id : {&g_q_, &g_k_})
                *id = params.declare(
                    {.name = prefix_ + (id == &g_q_ ? ".q_norm" : ".k_norm") + ".gain",
                     .shape = {{'D', m.head_dim}},
                     .init = Init::constant(1.0)});
        w_out_ = weight(params, prefix_ + ".out.weight", m.width, attn_.out_width(), output_std(m));
        qkv_ = plan.declare<T>(prefix_ + ".qkv", {{'N', n}, {'Q', attn_.qkv_width()}},
                                  Lifetime::saved);
        out_ = plan.declare<T>(prefix_ + ".heads", {{'N', n}, {'Q', attn_.out_width()}},
                                  Lifetime::saved);
        lse_ = plan.declare<Real>(prefix_ + ".lse",
                                  {{'B', shape_.batch}, {'H', m.heads}, {'T', m.context}},
                                  Lifetime::saved);
        if (m.qk_norm)
            rstd_ = plan.declare<Real>(prefix_ + ".qk_rstd",
                                       {{'N', n}, {'H', m.heads + m.kv_heads}}, Lifetime::saved);
    }

    void bind(const Arena& arena, ParamStore<Real>& params) override {
        qkv = arena.view<T>(qkv_), out = arena.view<T>(out_), lse = arena.view<Real>(lse_);
        wqkv = params.value(w_qkv_), dwqkv = params.grad(w_qkv_);
        wout = params.value(w_out_), dwout = params.grad(w_out_);
        if (!shape_.model.qk_norm) return;
        rstd = arena.view<Real>(rstd_);
        gq = params.value(g_q_), dgq = params.grad(g_q_);
        gk = params.value(g_k_), dgk = params.grad(g_k_);
    }

    void forward(const Context& ctx, View<const T> x, View<T> v) override {
        linear<T>(ctx, x, wqkv, qkv);
        attention<T>(ctx, attn_, qkv, gq, gk, static_cast<Real>(shape_.model.norm_eps), rstd,
                        out, lse, work_.attention);
        linear<T>(ctx, out, wout, v);
    }

    void backward(const Context& ctx, View<const T> dv, View<const T> x,
                  View<T> dx) override {
        linear_backward<T>(ctx, dv, out, wout, work_.dattention, dwout);
        attention_backward<T>(ctx, attn_, work_.dattention, qkv, gq, gk, rstd, out, lse,
                                 work_.dqkv, dgq, dgk, work_.attention);
        linear_backward<T>(ctx, work_.dqkv, x, wqkv, dx, dwqkv);
    }

    std::vector<ParamId> weights() const override { return {w_qkv_, w_out_}; }

private:
    std::string prefix_;
    SublayerShape shape_;
    AttentionShape attn_;
    Workspace<T>& work_;
    ParamId w_qkv_, g_q_, g_k_, w_out_;
    TensorId qkv_, out_, lse_, rstd_;
    View<T> qkv, out;      // (N, (H+2Hkv)D), (N, H D)
    View<Real> lse, rstd;  // (B, H, T), (N, H+Hkv)
    View<Real> wqkv, dwqkv, wout, dwout, gq, dgq, gk, dgk;
};

template <class T>
class Mlp final : public Sublayer<T> {
public:
    using Real = RealOf<T>;

    Mlp(std::string prefix, const SublayerShape& shape, Workspace<T>& work)
        : prefix_(std::move(prefix)),
          shape_(shape),
          work_(work),
          kind_(shape.model.mlp == "swiglu" ? Activation::swiglu : Activation::gelu) {}

    void declare(Plan& plan, ParamStore<Real>& params) override {
        const ModelConfig& m = shape_.model;
        w_up_ = weight(params, prefix_ + ".up.weight", up_width(m), m.width, m.init_std);
        w_down_ = weight(params, prefix_ + ".down.weight", m.width, m.mlp_hidden, output_std(m));
        up_ = plan.declare<T>(prefix_ + ".up", {{'N', shape_.tokens()}, {'F', up_width(m)}},
                                 Lifetime::saved);
    }

    void bind(const Arena& arena, ParamStore<Real>& params) override {
        up = arena.view<T>(up_);
        wup = params.value(w_up_), dwup = params.grad(w_up_);
        wdown = params.value(w_down_), dwdown = params.grad(w_down_);
    }

    void forward(const Context& ctx, View<const T> x, View<T> v) override {
        linear<T>(ctx, x, wup, up);
        activation<T>(ctx, kind_, up, work_.act);
        linear<T>(ctx, work_.act, wdown, v);
    }

    void backward(const Context& ctx, View<const T> dv, View<const T> x,
                  View<T> dx) override {
        // da = dv W; the weight's gradient needs a, which activation_backward computes again.
        const Index n = dv.extent(0), c = dv.extent(1), f = work_.dact.extent(1);
        gemm<Real>(ctx, Op::none, Op::none, n, f, c, Real(1), dv.data, c, wdown.data, f, Real(0),
                   work_.dact.data, f);
        activation_backward<T>(ctx, kind_, up, work_.dact, work_.dup, work_.act);
        linear_backward<T>(ctx, dv, work_.act, wdown, {}, dwdown);
        linear_backward<T>(ctx, work_.dup, x, wup, dx, dwup);
    }

    std::vector<ParamId> weights() const override { return {w_up_, w_down_}; }

private:
    std::string prefix_;
    SublayerShape shape_;
    Workspace<T>& work_;
    Activation kind_;
    ParamId w_up_, w_down_;
    TensorId up_;
    View<T> up;  // (N, 2F or F)
    View<Real> wup, dwup, wdown, dwdown;
};

}  // namespace

template <class T>
void Workspace<T>::declare(Plan& plan) {
    const ModelConfig& m = shape_.model;
    const AttentionShape a = attention_shape(shape_);
    const Index n = shape_.tokens(), t = m.context;
    const auto scratch = [&](const char* name, Shape shape) {
        return plan.declare<T>(std::string("work.") + name, shape, Lifetime::scratch);
    };
    scores_ = plan.declare<RealOf<T>>("work.scores", {{'P', shape_.threads}, {'2', 2}, {'R', kAttentionTile}, {'T', t}},
                                      Lifetime::scratch);
    cos_ = plan.declare<RealOf<T>>("work.cos", {{'T', t}, {'D', m.head_dim / 2}}, Lifetime::saved);
    sin_ = plan.declare<RealOf<T>>("work.sin", {{'T', t}, {'D', m.head_dim / 2}}, Lifetime::saved);
    qk_ = scratch("qk", {{'N', n}, {'Q', a.qk_width()}});
    dqk_ = scratch("dqk", {{'N', n}, {'Q', a.qk_width()}});
    dqkv_ = scratch("dqkv", {{'N', n}, {'Q', a.qkv_width()}});
    dattention_ = scratch("dheads", {{'N', n}, {'Q', a.out_width()}});
    act_ = scratch("act", {{'N', n}, {'F', m.mlp_hidden}});
    dact_ = scratch("dact", {{'N', n}, {'F', m.mlp_hidden}});
    dup_ = scratch("dup", {{'N', n}, {'F', up_width(m)}});
}

template <class T>
void Workspace<T>::bind(const Arena& arena) {
    using Real = RealOf<T>;
    attention = {arena.view<Real>(scores_), arena.view<Real>(cos_), arena.view<Real>(sin_),
                 arena.view<T>(qk_), arena.view<T>(dqk_)};
    dqkv = arena.view<T>(dqkv_), dattention = arena.view<T>(dattention_);
    act = arena.view<T>(act_), dact = arena.view<T>(dact_), dup = arena.view<T>(dup_);
    rope_table(shape_.model.rope_base, attention.cos, attention.sin);
}

template <class T>
std::unique_ptr<Sublayer<T>> make_sublayer(const std::string& kind, const std::string& prefix,
                                              const SublayerShape& shape, Workspace<T>& work) {
    if (kind == "attn") return std::make_unique<Attention<T>>(prefix, shape, work);
    require(kind == "mlp", "unknown sublayer kind " + kind);
    return std::make_unique<Mlp<T>>(prefix, shape, work);
}

#define PLUMB_INSTANTIATE(Real)                             \
    template struct Workspace<Real>;                        \
    template std::unique_ptr<Sublayer<Real>> make_sublayer( \
        const std::string&, const std::string&, const SublayerShape&, Workspace<Real>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
