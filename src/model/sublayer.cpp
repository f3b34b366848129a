#include "model/sublayer.h"

#include "model/weights.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace plumb {
namespace {

// A Linear and the parameter it multiplies by.
template <class T>
struct Projection {
    using Real = RealOf<T>;
    ParamId id;
    Linear<T> linear;

    void declare(Plan& plan, const ParamStore<Real>& params, ParamId weight, Index tokens) {
        id = weight;
        const ParamSpec& w = params.specs()[static_cast<std::size_t>(id.index)];
        linear.declare(plan, w.name, tokens, w.shape.extent(0), w.shape.extent(1));
    }
    void bind(const Arena& arena, ParamStore<Real>& params) {
        linear.bind(arena, params.value(id), params.grad(id));
    }
};

// v behind its mask, and the gradient in front of it.
template <class T>
View<const T> masked(const Context& ctx, const Workspace<T>& work, const Dropout& mask,
                     View<const T> dv) {
    if (!mask) return dv;
    copy<T>(ctx, dv, work.dv);
    dropout<T>(ctx, mask, work.dv);
    return work.dv;
}

template <class T>
class Attention final : public Sublayer<T> {
public:
    using Real = RealOf<T>;

    Attention(const std::string& prefix, const SublayerShape& shape, Workspace<T>& work)
        : prefix_(prefix),
          weights_site_(prefix + ".weights"),
          shape_(shape),
          attn_(attention_shape(shape.model, shape.batch)),
          work_(work) {}

    void declare(Plan& plan, ParamStore<Real>& params) override {
        const ModelConfig& m = shape_.model;
        const Index n = shape_.tokens();
        const AttentionParams p = declare_attention(params, prefix_, m);
        g_q_ = p.gain_q, g_k_ = p.gain_k;
        qkv_proj_.declare(plan, params, p.qkv, n);
        out_proj_.declare(plan, params, p.out, n);
        const auto saved = [&](const char* name, Index width) {
            return plan.declare<T>(prefix_ + name, {{'N', n}, {'Q', width}}, Lifetime::saved);
        };
        qkv_id_ = saved(".qkv", attn_.qkv_width());
        out_id_ = saved(".heads", attn_.out_width());
        lse_id_ = plan.declare<Real>(prefix_ + ".lse",
                                     {{'B', shape_.batch}, {'H', m.heads}, {'T', m.context}},
                                     Lifetime::saved);
    }

    void bind(const Arena& arena, ParamStore<Real>& params) override {
        qkv_proj_.bind(arena, params);
        out_proj_.bind(arena, params);
        qkv_ = arena.view<T>(qkv_id_), out_ = arena.view<T>(out_id_);
        lse_ = arena.view<Real>(lse_id_);
        if (!shape_.model.qk_norm) return;
        gq_ = params.value(g_q_), dgq_ = params.grad(g_q_);
        gk_ = params.value(g_k_), dgk_ = params.grad(g_k_);
    }

    void prepare(const Context& ctx) override {
        qkv_proj_.linear.prepare(ctx);
        out_proj_.linear.prepare(ctx);
    }

    void forward(const Context& ctx, View<const T> x, View<T> v) override {
        qkv_proj_.linear.forward(ctx, x, qkv_);
        attention<T>(ctx, attn_, qkv_, gq_, gk_, eps(), out_, lse_, work_.attention,
                     work_.dropout(weights_site_));
        out_proj_.linear.forward(ctx, out_, v);
        dropout<T>(ctx, work_.dropout(prefix_), v);
    }

    void backward(const Context& ctx, View<const T> dv, View<const T> x, View<T> dx) override {
        const View<const T> dy = masked<T>(ctx, work_, work_.dropout(prefix_), dv);
        out_proj_.linear.backward(ctx, dy, out_, work_.dattention);
        attention_backward<T>(ctx, attn_, work_.dattention, qkv_, gq_, gk_, eps(), out_, lse_,
                              work_.dqkv, dgq_, dgk_, work_.attention,
                              work_.dropout(weights_site_));
        qkv_proj_.linear.backward(ctx, work_.dqkv, x, dx);
    }

    std::vector<ParamId> weights() const override { return {qkv_proj_.id, out_proj_.id}; }

private:
    Real eps() const { return static_cast<Real>(shape_.model.norm_eps); }

    std::string prefix_, weights_site_;
    SublayerShape shape_;
    AttentionShape attn_;
    Workspace<T>& work_;
    Projection<T> qkv_proj_, out_proj_;
    ParamId g_q_, g_k_;
    TensorId qkv_id_, out_id_, lse_id_;
    View<T> qkv_, out_;               // (N, (H+2Hkv)D), (N, H D)
    View<Real> lse_;                  // (B, H, T)
    View<Real> gq_, dgq_, gk_, dgk_;  // (D)
};

template <class T>
class Mlp final : public Sublayer<T> {
public:
    using Real = RealOf<T>;

    Mlp(const std::string& prefix, const SublayerShape& shape, Workspace<T>& work)
        : prefix_(prefix), shape_(shape), work_(work), kind_(activation_of(shape.model)) {}

    void declare(Plan& plan, ParamStore<Real>& params) override {
        const ModelConfig& m = shape_.model;
        const Index n = shape_.tokens();
        const MlpParams p = declare_mlp(params, prefix_, m);
        up_proj_.declare(plan, params, p.up, n);
        down_proj_.declare(plan, params, p.down, n);
        up_id_ = plan.declare<T>(prefix_ + ".up", {{'N', n}, {'F', up_width(m)}}, Lifetime::saved);
    }

    void bind(const Arena& arena, ParamStore<Real>& params) override {
        up_proj_.bind(arena, params);
        down_proj_.bind(arena, params);
        up_ = arena.view<T>(up_id_);
    }

    void prepare(const Context& ctx) override {
        up_proj_.linear.prepare(ctx);
        down_proj_.linear.prepare(ctx);
    }

    void forward(const Context& ctx, View<const T> x, View<T> v) override {
        up_proj_.linear.forward(ctx, x, up_);
        activation<T>(ctx, kind_, up_, work_.act);
        down_proj_.linear.forward(ctx, work_.act, v);
        dropout<T>(ctx, work_.dropout(prefix_), v);
    }

    // The activation's output is made again from what went into it.
    void backward(const Context& ctx, View<const T> dv, View<const T> x, View<T> dx) override {
        const View<const T> dy = masked<T>(ctx, work_, work_.dropout(prefix_), dv);
        down_proj_.linear.backward_input(ctx, dy, work_.dact);
        activation_backward<T>(ctx, kind_, up_, work_.dact, work_.dup, work_.act);
        down_proj_.linear.backward_weight(ctx, dy, work_.act);
        up_proj_.linear.backward(ctx, work_.dup, x, dx);
    }

    std::vector<ParamId> weights() const override { return {up_proj_.id, down_proj_.id}; }

private:
    std::string prefix_;
    SublayerShape shape_;
    Workspace<T>& work_;
    Activation kind_;
    Projection<T> up_proj_, down_proj_;
    TensorId up_id_;
    View<T> up_;  // (N, 2F or F)
};

}  // namespace

template <class T>
void Workspace<T>::declare(Plan& plan) {
    const ModelConfig& m = shape_.model;
    const AttentionShape a = attention_shape(m, shape_.batch);
    const Index n = shape_.tokens(), t = m.context;
    const auto scratch = [&](const char* name, Index width) {
        return plan.declare<T>(std::string("work.") + name, {{'N', n}, {'Q', width}},
                               Lifetime::scratch);
    };
    heads_ = plan.declare<Real>("work.heads", {{'P', shape_.threads}, {'S', attention_scratch(a)}},
                                Lifetime::scratch);
    dgain_ = plan.declare<Real>("work.qk_dgain",
                                {{'B', a.batch}, {'H', a.kv_heads}, {'D', 2 * a.head_dim}},
                                Lifetime::scratch);
    cos_ = plan.declare<Real>("work.cos", {{'T', t}, {'D', m.head_dim / 2}}, Lifetime::saved);
    sin_ = plan.declare<Real>("work.sin", {{'T', t}, {'D', m.head_dim / 2}}, Lifetime::saved);
    dqkv_ = scratch("dqkv", a.qkv_width());
    dattention_ = scratch("dheads", a.out_width());
    act_ = scratch("act", m.mlp_hidden);
    dact_ = scratch("dact", m.mlp_hidden);
    dup_ = scratch("dup", up_width(m));
    if (m.dropout > 0) dv_ = scratch("dv", m.width);
}

template <class T>
void Workspace<T>::bind(const Arena& arena) {
    attention = {arena.view<Real>(cos_), arena.view<Real>(sin_), arena.view<Real>(heads_),
                 arena.view<Real>(dgain_)};
    dqkv = arena.view<T>(dqkv_), dattention = arena.view<T>(dattention_);
    act = arena.view<T>(act_), dact = arena.view<T>(dact_), dup = arena.view<T>(dup_);
    if (dv_) dv = arena.view<T>(dv_);
    rope_table(shape_.model.rope_base, attention.cos, attention.sin);
}

template <class T>
Dropout Workspace<T>::dropout(std::string_view site) const {
    if (!key || shape_.model.dropout == 0) return {};
    return {shape_.model.dropout, key->seed, dropout_stream(key->pass, site)};
}

template <class T>
std::unique_ptr<Sublayer<T>> make_sublayer(const std::string& kind, const std::string& prefix,
                                           const SublayerShape& shape, Workspace<T>& work) {
    if (kind == "attn") return std::make_unique<Attention<T>>(prefix, shape, work);
    require(kind == "mlp", "unknown sublayer kind " + kind);
    return std::make_unique<Mlp<T>>(prefix, shape, work);
}

#define PLUMB_INSTANTIATE(T)                                                                    \
    template struct Workspace<T>;                                                               \
    template std::unique_ptr<Sublayer<T>> make_sublayer(const std::string&, const std::string&, \
                                                        const SublayerShape&, Workspace<T>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
