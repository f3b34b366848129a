#include "model/sublayer.h"

#include "model/weights.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {
namespace {

// cos and sin (T, D/2) of what turns queries and keys; without positions nothing does.
template <class Real>
void position_table(const ModelConfig& m, View<Real> cos, View<Real> sin) {
    if (m.of("attn").text("rope") == "half") return rope_table(m.rope_base, cos, sin);
    std::fill_n(cos.host().data, cos.count(), Real(1));
    std::fill_n(sin.host().data, sin.count(), Real(0));
}

}  // namespace

template <class T>
Workspace<T>::Workspace(const SublayerShape& shape, Plan& plan)
    : key(plan.state(std::optional<DropoutKey>())),
      first(plan.state(FirstValues<T>())),
      shape_(shape) {
    const ModelConfig& m = shape_.model;
    const AttentionShape a = attention_shape(m, shape_.batch);
    const Index n = shape_.tokens(), t = m.context;
    const auto scratch = [&](const char* name, Index width) {
        return plan.scratch<T>(std::string("work.") + name, {{'N', n}, {'Q', width}});
    };
    heads =
        plan.cpu_scratch<Real>("work.heads", {{'P', shape_.threads}, {'S', attention_scratch(a)}});
    dgain = plan.cpu_scratch<Real>("work.qk_dgain",
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
    if (!m.of("attn").flag("value_residual")) return;
    dfirst = plan.scratch<Real>("work.dfirst", {{'N', n}, {'Q', a.part_width(2)}});
    sums = plan.cpu_scratch<Real>("work.sums", {{'P', n_chunks(n)}});
}

template <class T>
void Workspace<T>::prepare(const Frame& frame) const {
    position_table<Real>(shape_.model, frame.view(cos), frame.view(sin));
}

template <class T>
Dropout Workspace<T>::dropout(const Context& ctx, std::string_view site) const {
    const std::optional<DropoutKey>& of_pass = ctx(key);
    if (!of_pass || shape_.model.dropout == 0) return {};
    return {shape_.model.dropout, of_pass->seed, dropout_stream(of_pass->pass, site)};
}

template <class T>
View<const T> Workspace<T>::before_mask(const Context& ctx, std::string_view site,
                                        View<const T> x) const {
    const Dropout mask = dropout(ctx, site);
    if (!mask) return x;
    const View<T> before = ctx(dv);
    copy<T>(ctx, x, before);
    plumb::dropout<T>(ctx, mask, before);
    return before;
}

template <class T>
DecodeScratch<T>::DecodeScratch(const SublayerShape& shape, Index rows, Plan& plan)
    : model_(shape.model) {
    const ModelConfig& m = shape.model;
    const AttentionShape a = attention_shape(m, shape.batch);
    const Index t = m.context;
    const auto scratch = [&](const char* name, Index width) {
        return plan.scratch<T>(name, {{'N', rows}, {'C', width}});
    };
    cos = plan.saved<Real>("cos", {{'T', t}, {'D', m.head_dim / 2}});
    sin = plan.saved<Real>("sin", {{'T', t}, {'D', m.head_dim / 2}});
    scores = plan.scratch<Real>("scores", {{'B', a.batch * a.kv_heads}, {'T', cache_positions(t)}});
    qkv = scratch("qkv", a.qkv_width());
    heads = scratch("heads", a.out_width());
    if (shape.ways > 1) part = scratch("part", a.out_width());
    up = scratch("up", up_width(m));
    act = scratch("act", m.mlp_hidden);
    if (m.of("attn").flag("value_residual")) values = scratch("values", a.part_width(2));
}

template <class T>
void DecodeScratch<T>::prepare(const Frame& frame) const {
    position_table<Real>(model_, frame.view(cos), frame.view(sin));
}

template struct Workspace<float>;
template struct Workspace<double>;
template struct Workspace<Bf16>;
template struct DecodeScratch<float>;
template struct DecodeScratch<double>;

}  // namespace plumb
