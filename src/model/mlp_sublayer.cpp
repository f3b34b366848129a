// Two matrices with an activation between them, gated or not (ops/activation.h), as a sublayer.
#include "model/sublayers.h"
#include "model/weights.h"
#include "ops/linear.h"
#include "ops/linear_decode.h"

namespace plumb {
namespace {

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
        const Shape hidden{{'N', n}, {'F', shape.model.mlp_hidden}},
            gated{{'N', n}, {'F', up_width(shape.model)}};
        up_ = plan.saved<T>(prefix + ".up", gated);
        act_ = plan.shared_scratch<T>("work.act", hidden);
        dact_ = plan.shared_scratch<T>("work.dact", hidden);
        dup_ = plan.shared_scratch<T>("work.dup", gated);
    }

    void prepare(const Context& ctx) override {
        up_proj_.prepare(ctx);
        down_proj_.prepare(ctx);
    }

    void forward(const Context& ctx, const Inputs<const T>& x, View<T> v) override {
        const View<T> up = ctx(up_), act = ctx(act_);
        up_proj_.forward(ctx, x.front(), up);
        activation<T>(ctx, kind_, up, act);
        down_proj_.forward(ctx, act, v);
        dropout<T>(ctx, work_.dropout(ctx, site_), v);
    }

    // The activation's output is made again from what went into it.
    void backward(const Context& ctx, View<const T> dv, const Inputs<const T>& x,
                  const Inputs<T>& dx) override {
        const View<const T> dy = work_.before_mask(ctx, site_, dv);
        const View<T> act = ctx(act_), dact = ctx(dact_), dup = ctx(dup_);
        down_proj_.backward_input(ctx, dy, dact);
        activation_backward<T>(ctx, kind_, ctx(up_), dact, dup, act);
        down_proj_.backward_weight(ctx, dy, act);
        up_proj_.backward_beside(ctx, dup, x.front(), dx.front());
    }

    std::vector<ParamId> weights() const override { return {params_.up, params_.down}; }

private:
    std::string site_;
    const Workspace<T>& work_;
    Activation kind_;
    MlpParams<Real> params_;
    Linear<T> up_proj_, down_proj_;
    Tensor<T> up_, dup_;    // (N, 2F or F)
    Tensor<T> act_, dact_;  // (N, F)
};

template <class T>
class MlpDecoder final : public SublayerDecoder<T> {
public:
    using Real = RealOf<T>;

    MlpDecoder(const std::string& prefix, const SublayerShape& shape, const DecodeScratch<T>& work,
               Plan& plan, ParamStore<Real>& params)
        : kind_(activation_of(shape.model)),
          params_(declare_mlp(params, prefix, shape.model)),
          up_(work.shared(plan, "up", up_width(shape.model))),
          act_(work.shared(plan, "act", shape.model.mlp_hidden)) {}

    void decode(const Context& ctx, const DecodeRows&, const Inputs<const T>& x,
                View<T> v) override {
        const View<T> up = DecodeScratch<T>::first(ctx, up_, v.extent(0)),
                      act = DecodeScratch<T>::first(ctx, act_, v.extent(0));
        linear_decode<T>(ctx, x.front(), ctx.value(params_.up), up);
        activation<T>(ctx, kind_, up, act);
        linear_decode<T>(ctx, act, ctx.value(params_.down), v);
    }

private:
    Activation kind_;
    MlpParams<Real> params_;
    Tensor<T> up_, act_;  // (rows, 2F or F), (rows, F)
};

SublayerCosts mlp_costs(const ModelConfig& m) {
    return {{{"up", up_width(m), m.width}, {"down", m.width, m.mlp_hidden}}, 0, 0};
}

}  // namespace

SublayerInfo mlp_sublayer() {
    return {"mlp",
            "MLP",
            "SwiGLU, Shazeer 2020 (arXiv:2002.05202); GELU, Hendrycks and Gimpel 2016 "
            "(arXiv:1606.08415)",
            "v = W_down act(W_up x), x the norm of h; act: swiglu (gated) or gelu",
            {"mlp", "mlp_hidden"},
            {},
            {{}, {"model.mlp=gelu"}, {"model.pattern=mlp"}, {"model.pattern=mlp,attn,mlp"}},
            mlp_costs,
            sublayer_makers<Mlp, MlpDecoder>()};
}

}  // namespace plumb
