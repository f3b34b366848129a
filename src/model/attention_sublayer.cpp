// Causal multi-head attention (Vaswani et al. 2017, arXiv:1706.03762; ops/attention.h says which)
// as a sublayer: v = attention(x W_qkv^T) W_out^T.
#include "model/qkv_projection.h"
#include "model/sublayers.h"
#include "model/weights.h"
#include "ops/linear_decode.h"

namespace plumb {
namespace {

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
          qkv_proj_(plan, prefix + ".qkv.weight", params_.qkv, attn_, shape) {
        const Index n = shape.tokens();
        out_proj_ = Linear<T>(plan, prefix + ".out.weight", params_.out, n);
        qkv_ = plan.saved<T>(prefix + ".qkv", {{'N', n}, {'Q', attn_.qkv_width()}});
        heads_ = plan.saved<T>(prefix + ".heads", {{'N', n}, {'Q', attn_.out_width()}});
        lse_ = plan.saved<Real>(prefix + ".lse",
                                {{'B', attn_.batch}, {'H', attn_.heads}, {'T', attn_.context}});
        declare_scratch(plan, shape);
    }

    void prepare(const Context& ctx) override {
        qkv_proj_.prepare(ctx);
        out_proj_.prepare(ctx);
    }

    void forward(const Context& ctx, const Inputs<const T>& x, View<T> v) override {
        const View<T> qkv = ctx(qkv_), heads = ctx(heads_);
        qkv_proj_.forward(ctx, x, qkv);
        add_first_values(ctx, qkv);
        attention<T>(ctx, attn_, qkv, ctx.value(params_.gain_q), ctx.value(params_.gain_k), eps_,
                     heads, ctx(lse_), workspace(ctx), work_.dropout(ctx, weights_site_));
        out_proj_.forward(ctx, heads, v);
        dropout<T>(ctx, work_.dropout(ctx, site_), v);
    }

    void backward(const Context& ctx, View<const T> dv, const Inputs<const T>& x,
                  const Inputs<T>& dx) override {
        const View<const T> dy = work_.before_mask(ctx, site_, dv);
        const View<T> heads = ctx(heads_), dheads = ctx(dheads_), dqkv = ctx(dqkv_);
        out_proj_.backward(ctx, dy, heads, dheads);
        attention_backward<T>(ctx, attn_, dheads, ctx(qkv_), ctx.value(params_.gain_q),
                              ctx.value(params_.gain_k), eps_, heads, ctx(lse_), dqkv,
                              ctx.grad(params_.gain_q), ctx.grad(params_.gain_k), workspace(ctx),
                              work_.dropout(ctx, weights_site_));
        add_first_values_backward(ctx, dqkv);
        qkv_proj_.backward(ctx, dqkv, x, dx);
    }

    std::vector<ParamId> weights() const override { return {params_.qkv, params_.out}; }

private:
    void declare_scratch(Plan& plan, const SublayerShape& shape) {
        const Index n = shape.tokens();
        scratch_ = plan.shared_cpu_scratch<Real>(
            "work.heads", {{'P', shape.threads}, {'S', attention_scratch(attn_)}});
        const Index on_gpu = attention_gpu_scratch<T>(attn_);
        if (plan.device() == Device::cuda && on_gpu > 0)
            scratch_ = plan.shared_scratch<Real>("work.turned", {{'S', on_gpu}});
        dgain_ = plan.shared_scratch<Real>("work.qk_dgain", attention_dgain(attn_, plan.device()));
        dqkv_ = plan.shared_scratch<T>("work.dqkv", {{'N', n}, {'Q', attn_.qkv_width()}});
        dheads_ = plan.shared_scratch<T>("work.dheads", {{'N', n}, {'Q', attn_.out_width()}});
        if (!shape.model.of("attn").flag("value_residual")) return;
        dfirst_ = plan.shared_scratch<Real>("work.dfirst", {{'N', n}, {'Q', attn_.part_width(2)}});
        sums_ = plan.shared_scratch<Real>("work.sums", {{'P', n_chunks(n)}});
    }
    AttentionWorkspace<Real> workspace(const Context& ctx) const {
        return {ctx(work_.cos), ctx(work_.sin), ctx(scratch_), ctx(dgain_)};
    }
    // attn.value_residual: values v -> v + lambda v_1, v_1 those of the first attention that runs.
    void add_first_values(const Context& ctx, View<T> qkv) {
        FirstValues<T>& first = ctx(work_.first);
        if (!first.qkv)
            first.qkv = &qkv_;
        else if (params_.first_values)
            add_last_columns<T>(ctx, ctx(*first.qkv), attn_.part_width(2),
                                ctx.value(params_.first_values), qkv);
    }
    // dqkv of the last product; the first attention's is complete only when all others have added
    // theirs.
    void add_first_values_backward(const Context& ctx, View<T> dqkv) {
        FirstValues<T>& first = ctx(work_.first);
        if (params_.first_values) {
            add_last_columns_backward<T>(ctx, ctx(*first.qkv), ctx.value(params_.first_values),
                                         dqkv, first.has_gradient, ctx(sums_),
                                         ctx.grad(params_.first_values), ctx(dfirst_));
            first.has_gradient = true;
        } else if (first.has_gradient) {
            add_to_last_columns<T>(ctx, ctx(dfirst_), dqkv);
        }
    }

    std::string site_, weights_site_;
    AttentionShape attn_;
    Real eps_;
    const Workspace<T>& work_;
    AttentionParams<Real> params_;
    QkvProjection<T> qkv_proj_;
    Linear<T> out_proj_;
    Tensor<T> qkv_, dqkv_, heads_, dheads_;  // (N, (H+2Hkv)D), (N, H D)
    Tensor<Real> lse_;                       // (B, H, T)
    Tensor<Real> scratch_, dgain_;           // AttentionWorkspace
    Tensor<Real> dfirst_, sums_;             // (N, Hkv D), (chunks): of attn.value_residual
};

template <class T>
class AttentionDecoder final : public SublayerDecoder<T> {
public:
    using Real = RealOf<T>;

    AttentionDecoder(const std::string& prefix, const SublayerShape& shape,
                     const DecodeScratch<T>& work, Plan& plan, ParamStore<Real>& params)
        : attn_(attention_shape(shape.model, shape.batch)),
          ways_(shape.ways),
          eps_(static_cast<Real>(shape.model.norm_eps)),
          work_(work),
          params_(declare_attention(params, prefix, shape.model)) {
        const Index b = attn_.batch, h = attn_.kv_heads, t = attn_.context, d = attn_.head_dim;
        keys_ = plan.saved<T>(prefix + ".keys",
                              {{'B', b}, {'H', h}, {'D', d}, {'T', cache_positions(t)}});
        values_ = plan.saved<T>(prefix + ".values", {{'B', b}, {'H', h}, {'T', t}, {'D', d}});
        scores_ = plan.shared_scratch<Real>("scores", {{'B', b * h}, {'T', cache_positions(t)}});
        qkv_ = work.shared(plan, "qkv", attn_.qkv_width());
        heads_ = work.shared(plan, "heads", attn_.out_width());
        if (ways_ > 1) part_ = work.shared(plan, "part", attn_.out_width());
        if (shape.model.of("attn").flag("value_residual"))
            first_values_ = work.shared(plan, "values", attn_.part_width(2));
    }

    void decode(const Context& ctx, const DecodeRows& rows, const Inputs<const T>& x,
                View<T> v) override {
        const View<T> qkv = work_.first(ctx, qkv_, v.extent(0)),
                      heads = work_.first(ctx, heads_, v.extent(0));
        project(ctx, x, qkv);
        if (params_.first_values)
            add_last_columns<T>(ctx, work_.first(ctx, first_values_, v.extent(0)),
                                attn_.part_width(2), ctx.value(params_.first_values), qkv);
        else if (first_values_)
            take_columns<T>(ctx, qkv, attn_.part_begin(2),
                            work_.first(ctx, first_values_, v.extent(0)));
        attention_decode<T>(ctx, attn_, rows, qkv, ctx.value(params_.gain_q),
                            ctx.value(params_.gain_k), eps_, {ctx(keys_), ctx(values_)},
                            {ctx(work_.cos), ctx(work_.sin), ctx(scores_)}, heads);
        linear_decode<T>(ctx, heads, ctx.value(params_.out), v);
    }

private:
    // Queries, keys and values of x, each from its own if there are several.
    void project(const Context& ctx, const Inputs<const T>& x, View<T> qkv) const {
        const View<Real> w = ctx.value(params_.qkv);
        if (ways_ == 1) return linear_decode<T>(ctx, x.front(), w, qkv);
        for (int i = 0; i < kMostWays; ++i) {
            const Index first = attn_.part_begin(i), width = attn_.part_width(i);
            const View<T> part{ctx(part_).data, {{'N', qkv.extent(0)}, {'Q', width}}, qkv.device};
            const View<const Real> of{w.row(first), {{'O', width}, {'I', w.extent(1)}}, w.device};
            linear_decode<T>(ctx, x[static_cast<std::size_t>(i)], of, part);
            put_columns<T>(ctx, part, first, qkv);
        }
    }

    AttentionShape attn_;
    int ways_;
    Real eps_;
    const DecodeScratch<T>& work_;
    AttentionParams<Real> params_;
    Tensor<T> keys_, values_;       // KeyValueCache
    Tensor<Real> scores_;           // DecodeWorkspace
    Tensor<T> qkv_, heads_, part_;  // (rows, ..) as in training
    Tensor<T> first_values_;        // (rows, Hkv D), of attn.value_residual
};

// Four products; scores and values are two of 2 H D flops per pair of tokens, three times (forward,
// two gradients), (T + 1) / 2 pairs a token.
SublayerCosts attention_costs(const ModelConfig& m) {
    const AttentionShape s = attention_shape(m, 1);
    const double out = static_cast<double>(s.out_width()), t = static_cast<double>(m.context);
    return {{{"qkv", s.qkv_width(), m.width}, {"out", m.width, s.out_width()}},
            12 * out * (t + 1) / 2,
            2 * static_cast<double>(s.part_width(2))};
}

std::vector<Option> options() {
    return {
        {"rope", std::string("half"),
         "what tells positions apart: half (RoPE, which turns channels i and i + D/2 of queries "
         "and keys) or none (NoPE, Kazemnejad et al. 2023: the causal mask alone does)",
         Choices{"half", "none"}},
        {"value_residual", false,
         "whether every later attention adds the first one's values to its own, times a learned "
         "number that starts at 0 (Zhou et al. 2024, arXiv:2410.17897)"}};
}

}  // namespace

SublayerInfo attention_sublayer() {
    return {"attn",
            "attention",
            "Vaswani et al. 2017 (arXiv:1706.03762); RoPE, Su et al. 2021 (arXiv:2104.09864)",
            "v = softmax(q k^T / sqrt(D)) values, causal; q, k and values from the norm of h",
            {"heads", "kv_heads", "head_dim", "qk_norm", "rope_base"},
            options(),
            {{},
             {"model.kv_heads=1"},
             {"model.qk_norm=true", "model.rope_base=100"},
             {"attn.rope=none"},
             {"attn.value_residual=true"},
             {"model.pattern=attn"},
             {"model.pattern=attn,attn,mlp", "attn.value_residual=true"}},
            attention_costs,
            sublayer_makers<Attention, AttentionDecoder>()};
}

}  // namespace plumb
