#include "model/weights.h"

#include "mixers/layout.h"

#include <cmath>

namespace plumb {
namespace {

template <class Real>
Param<Real> weight(ParamStore<Real>& params, const std::string& name, Index out, Index in,
                   double std, std::vector<Index> stacked = {}) {
    return params.declare({.name = name,
                           .shape = {{'O', out}, {'I', in}},
                           .init = Init::normal(std),
                           .decay = true,
                           .stacked = std::move(stacked)});
}

// init_std / sqrt(L) for what writes to the residual connection (GPT-2), L its sublayers.
double output_std(const ModelConfig& m) {
    const double depth = static_cast<double>(m.sublayers());
    return m.init_std * (m.scale_output_init ? 1.0 / std::sqrt(depth) : 1.0);
}

}  // namespace

template <class Real>
AttentionParams<Real> declare_attention(ParamStore<Real>& params, const std::string& prefix,
                                        const ModelConfig& m) {
    const AttentionShape s = attention_shape(m, 1);
    const auto gain = [&](const char* name) {
        return m.qk_norm ? params.declare({.name = prefix + name,
                                           .shape = {{'D', m.head_dim}},
                                           .init = Init::constant(1.0)})
                         : Param<Real>{};
    };
    AttentionParams<Real> p;
    p.qkv = weight(params, prefix + ".qkv.weight", s.qkv_width(), m.width, m.init_std,
                   {s.part_width(0), s.part_width(1), s.part_width(2)});
    p.gain_q = gain(".q_norm.gain");
    p.gain_k = gain(".k_norm.gain");
    p.out = weight(params, prefix + ".out.weight", m.width, s.out_width(), output_std(m));
    if (m.of("attn").flag("value_residual") && prefix != Layout::block_name(0) + ".attn")
        p.first_values = params.declare(
            {.name = prefix + ".first_values", .shape = {{'S', 1}}, .init = Init::constant(0.0)});
    return p;
}

template <class Real>
MlpParams<Real> declare_mlp(ParamStore<Real>& params, const std::string& prefix,
                            const ModelConfig& m) {
    MlpParams<Real> p;
    const std::vector<Index> halves(static_cast<std::size_t>(up_width(m) / m.mlp_hidden),
                                    m.mlp_hidden);
    p.up = weight(params, prefix + ".up.weight", up_width(m), m.width, m.init_std, halves);
    p.down = weight(params, prefix + ".down.weight", m.width, m.mlp_hidden, output_std(m));
    return p;
}

template <class Real>
Param<Real> declare_norm(ParamStore<Real>& params, const std::string& site, const ModelConfig& m,
                         int way) {
    const std::string norm = way == 0 ? ".norm" : fmt::format(".norm_{}", way_name(way));
    return params.declare(
        {.name = site + norm + ".gain", .shape = {{'C', m.width}}, .init = Init::constant(1.0)});
}

template <class Real>
Param<Real> declare_table(ParamStore<Real>& params, const std::string& name, Index vocab,
                          const ModelConfig& m) {
    return params.declare({.name = name,
                           .shape = {{'V', vocab}, {'C', m.width}},
                           .init = Init::normal(m.init_std),
                           .decay = true});
}

AttentionShape attention_shape(const ModelConfig& m, Index batch) {
    return {batch, m.context, m.heads, m.kv_heads, m.head_dim};
}

Index up_width(const ModelConfig& m) { return m.mlp == "swiglu" ? 2 * m.mlp_hidden : m.mlp_hidden; }

Activation activation_of(const ModelConfig& m) {
    return m.mlp == "swiglu" ? Activation::swiglu : Activation::gelu;
}

#define PLUMB_INSTANTIATE(Real)                                                                  \
    template AttentionParams<Real> declare_attention(ParamStore<Real>&, const std::string&,      \
                                                     const ModelConfig&);                        \
    template MlpParams<Real> declare_mlp(ParamStore<Real>&, const std::string&,                  \
                                         const ModelConfig&);                                    \
    template Param<Real> declare_norm(ParamStore<Real>&, const std::string&, const ModelConfig&, \
                                      int);                                                      \
    template Param<Real> declare_table(ParamStore<Real>&, const std::string&, Index,             \
                                       const ModelConfig&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
