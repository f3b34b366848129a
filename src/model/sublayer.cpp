#include "model/sublayer.h"

#include "model/qkv_projection.h"
#include "model/weights.h"
#include "ops/reduce.h"

namespace plumb {
namespace {

// v behind its mask, and the gradient in front of it.
template <class T>
View<const T> masked(const Context& ctx, const Workspace<T>& work, const Dropout& mask,
                     View<const T> dv) {
    if (!mask) return dv;
    const View<T> behind = ctx(work.dv);
    copy<T>(ctx, dv, behind);
    dropout<T>(ctx, mask, behind);
    return behind;
}

template <class T>
class Attention final : public Sublayer<T> {
public:
    using Real = RealOf<T>;

    Attention(const std::string& prefix, const SublayerShape& shape, const Workspace<T>& work,
              Plan& plan, ParamStore<Real>& params)
        : site_(prefix),
          weights_site_(prefix + ".weights"),
          attn_(attention_shape(shape.model, shape.batch)),
          eps_(static_cast<Real>(shape.model.norm_eps)),
          work_(work),
          params_(declare_attention(params, prefix, shape.model)),
          qkv_proj_(plan, prefix + ".qkv.weight", params_.qkv, attn_, shape, work) {
        const Index n = shape.tokens();
        out_proj_ = Linear<T>(plan, prefix + ".out.weight", params_.out, n);
        qkv_ = plan.saved<T>(prefix + ".qkv", {{'N', n}, {'Q', attn_.qkv_width()}});
        heads_ = plan.saved<T>(prefix + ".heads", {{'N', n}, {'Q', attn_.out_width()}});
        lse_ = plan.saved<Real>(prefix + ".lse",
                                {{'B', attn_.batch}, {'H', attn_.heads}, {'T', attn_.context}});
    }

    void prepare(const Context& ctx) override {
        qkv_proj_.prepare(ctx);
        out_proj_.prepare(ctx);
    }

    void forward(const Context& ctx, const Inputs<const T>& x, View<T> v) override {
        const View<T> qkv = ctx(qkv_), heads = ctx(heads_);
        qkv_proj_.forward(ctx, x, qkv);
        attention<T>(ctx, attn_, qkv, ctx.value(params_.gain_q), ctx.value(params_.gain_k), eps_,
                     heads, ctx(lse_), work_.attention(ctx), work_.dropout(ctx, weights_site_));
        out_proj_.forward(ctx, heads, v);
        dropout<T>(ctx, work_.dropout(ctx, site_), v);
    }

    void backward(const Context& ctx, View<const T> dv, const Inputs<const T>& x,
                  const Inputs<T>& dx) override {
        const View<const T> dy = masked<T>(ctx, work_, work_.dropout(ctx, site_), dv);
        const View<T> heads = ctx(heads_), dheads = ctx(work_.dattention), dqkv = ctx(work_.dqkv);
        out_proj_.backward(ctx, dy, heads, dheads);
        attention_backward<T>(ctx, attn_, dheads, ctx(qkv_), ctx.value(params_.gain_q),
                              ctx.value(params_.gain_k), eps_, heads, ctx(lse_), dqkv,
                              ctx.grad(params_.gain_q), ctx.grad(params_.gain_k),
                              work_.attention(ctx), work_.dropout(ctx, weights_site_));
        qkv_proj_.backward(ctx, dqkv, x, dx);
    }

    std::vector<ParamId> weights() const override { return {params_.qkv, params_.out}; }

private:
    std::string site_, weights_site_;
    AttentionShape attn_;
    Real eps_;
    const Workspace<T>& work_;
    AttentionParams<Real> params_;
    QkvProjection<T> qkv_proj_;
    Linear<T> out_proj_;
    Tensor<T> qkv_, heads_;  // (N, (H+2Hkv)D), (N, H D)
    Tensor<Real> lse_;       // (B, H, T)
};

template <class T>
class Mlp final : public Sublayer<T> {
public:
    using Real = RealOf<T>;

    Mlp(const std::string& prefix, const SublayerShape& shape, const Workspace<T>& work, Plan& plan,
        ParamStore<Real>& params)
        : site_(prefix),
          work_(work),
          kind_(activation_of(shape.model)),
          params_(declare_mlp(params, prefix, shape.model)) {
        const Index n = shape.tokens();
        up_proj_ = Linear<T>(plan, prefix + ".up.weight", params_.up, n);
        down_proj_ = Linear<T>(plan, prefix + ".down.weight", params_.down, n);
        up_ = plan.saved<T>(prefix + ".up", {{'N', n}, {'F', up_width(shape.model)}});
    }

    void prepare(const Context& ctx) override {
        up_proj_.prepare(ctx);
        down_proj_.prepare(ctx);
    }

    void forward(const Context& ctx, const Inputs<const T>& x, View<T> v) override {
        const View<T> up = ctx(up_), act = ctx(work_.act);
        up_proj_.forward(ctx, x.front(), up);
        activation<T>(ctx, kind_, up, act);
        down_proj_.forward(ctx, act, v);
        dropout<T>(ctx, work_.dropout(ctx, site_), v);
    }

    // The activation's output is made again from what went into it.
    void backward(const Context& ctx, View<const T> dv, const Inputs<const T>& x,
                  const Inputs<T>& dx) override {
        const View<const T> dy = masked<T>(ctx, work_, work_.dropout(ctx, site_), dv);
        const View<T> act = ctx(work_.act), dact = ctx(work_.dact), dup = ctx(work_.dup);
        down_proj_.backward_input(ctx, dy, dact);
        activation_backward<T>(ctx, kind_, ctx(up_), dact, dup, act);
        down_proj_.backward_weight(ctx, dy, act);
        up_proj_.backward(ctx, dup, x.front(), dx.front());
    }

    std::vector<ParamId> weights() const override { return {params_.up, params_.down}; }

private:
    std::string site_;
    const Workspace<T>& work_;
    Activation kind_;
    MlpParams<Real> params_;
    Linear<T> up_proj_, down_proj_;
    Tensor<T> up_;  // (N, 2F or F)
};

}  // namespace

template <class T>
Workspace<T>::Workspace(const SublayerShape& shape, Plan& plan)
    : key(plan.state(std::optional<DropoutKey>())), shape_(shape) {
    const ModelConfig& m = shape_.model;
    const AttentionShape a = attention_shape(m, shape_.batch);
    const Index n = shape_.tokens(), t = m.context;
    const auto scratch = [&](const char* name, Index width) {
        return plan.scratch<T>(std::string("work.") + name, {{'N', n}, {'Q', width}});
    };
    heads = plan.scratch<Real>("work.heads", {{'P', shape_.threads}, {'S', attention_scratch(a)}});
    dgain = plan.scratch<Real>("work.qk_dgain",
                               {{'B', a.batch}, {'H', a.kv_heads}, {'D', 2 * a.head_dim}});
    cos = plan.saved<Real>("work.cos", {{'T', t}, {'D', m.head_dim / 2}});
    sin = plan.saved<Real>("work.sin", {{'T', t}, {'D', m.head_dim / 2}});
    dqkv = scratch("dqkv", a.qkv_width());
    dattention = scratch("dheads", a.out_width());
    if (shape_.ways > 1) part = scratch("part", a.out_width());
    act = scratch("act", m.mlp_hidden);
    dact = scratch("dact", m.mlp_hidden);
    dup = scratch("dup", up_width(m));
    if (m.dropout > 0) dv = scratch("dv", m.width);
}

template <class T>
void Workspace<T>::prepare(const Frame& frame) const {
    rope_table(shape_.model.rope_base, frame.view(cos), frame.view(sin));
}

template <class T>
Dropout Workspace<T>::dropout(const Context& ctx, std::string_view site) const {
    const std::optional<DropoutKey>& of_pass = ctx(key);
    if (!of_pass || shape_.model.dropout == 0) return {};
    return {shape_.model.dropout, of_pass->seed, dropout_stream(of_pass->pass, site)};
}

template <class T>
std::unique_ptr<Sublayer<T>> make_sublayer(const std::string& kind, const std::string& prefix,
                                           const SublayerShape& shape, const Workspace<T>& work,
                                           Plan& plan, ParamStore<RealOf<T>>& params) {
    if (kind == "attn") return std::make_unique<Attention<T>>(prefix, shape, work, plan, params);
    require(kind == "mlp", "unknown sublayer kind " + kind);
    return std::make_unique<Mlp<T>>(prefix, shape, work, plan, params);
}

#define PLUMB_INSTANTIATE(T)                                                                       \
    template struct Workspace<T>;                                                                  \
    template std::unique_ptr<Sublayer<T>> make_sublayer(const std::string&, const std::string&,    \
                                                        const SublayerShape&, const Workspace<T>&, \
                                                        Plan&, ParamStore<RealOf<T>>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
